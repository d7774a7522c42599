SELECT call_id, revision, outcome, cost_usd FROM calls ORDER BY call_id
