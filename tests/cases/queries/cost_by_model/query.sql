SELECT model, count(*) AS calls, sum(cost_usd) AS usd, count(*) FILTER (cost_usd IS NULL) AS unpriced FROM calls GROUP BY model ORDER BY usd DESC NULLS LAST
