SELECT model, count(*) FILTER (rating) AS good, count(*) FILTER (NOT rating) AS bad, avg(scores['accuracy']) AS accuracy FROM calls GROUP BY 1 ORDER BY 1
