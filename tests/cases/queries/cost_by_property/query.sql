SELECT properties['feature'] AS feature, sum(cost_usd) AS usd FROM calls GROUP BY 1 ORDER BY 1
