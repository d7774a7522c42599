SELECT date_trunc('hour', created_at) AS hour, quantile_cont(latency_ms, 0.5) AS p50_ms, max(ttft_ms) AS ttft_ms FROM calls GROUP BY 1 ORDER BY 1
