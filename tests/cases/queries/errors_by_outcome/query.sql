SELECT outcome, status, error FROM calls WHERE outcome <> 'completed' ORDER BY outcome
