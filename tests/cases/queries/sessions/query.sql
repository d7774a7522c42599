SELECT session_id, list(session_path ORDER BY created_at) AS paths, sum(cost_usd) AS usd, max(created_at) - min(created_at) AS lasted FROM calls GROUP BY 1 ORDER BY 1
