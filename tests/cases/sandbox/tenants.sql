-- all calls
SELECT * FROM calls

-- all bodies
SELECT * FROM bodies

-- all feedback
SELECT * FROM feedback

-- all dead letters
SELECT * FROM dead_letters

-- what was booked before
SELECT * FROM cost_history

-- the table by the name of others
SELECT * FROM request_response_rmt

-- by the other's name
SELECT * FROM calls WHERE organization = 'other'

-- by any other's name
SELECT * FROM calls WHERE organization <> 'acme'

-- a condition that is always true
SELECT count(*) FROM calls WHERE organization = 'acme' OR true

-- a comment that cuts a condition off
SELECT count(*) FROM calls WHERE 1 = 1 --

-- a union with every table
SELECT call_id FROM calls UNION SELECT call_id FROM bodies UNION SELECT request_id FROM feedback UNION SELECT call_id FROM dead_letters

-- a full join
SELECT * FROM calls FULL JOIN bodies USING (call_id) FULL JOIN feedback ON true

-- amendments by their table
SELECT * FROM amendments

-- a table of the lake by another schema
SELECT * FROM lake.calls

-- a view of the database itself
SELECT * FROM memory.main.calls

-- a view of the temporary database
SELECT * FROM temp.main.calls

-- a view by the schema of temporary things
SELECT * FROM pg_temp.calls

-- a view of an earlier question, under its own name
SELECT * FROM temp.calls

-- a cast of each name
SELECT user_id::INTEGER FROM calls

-- a cast of each name that the filter should have held back
SELECT count(*) FROM calls WHERE user_id::INTEGER > 0 AND organization = 'other'

-- a cast of what was said
SELECT text::INTEGER FROM bodies WHERE text <> ''

-- a cast of a property
SELECT properties['secret']::DATE FROM calls

-- a cast of a key
SELECT map_keys(properties)[1]::DOUBLE FROM calls

-- a cast of an error's text
SELECT error::BIGINT FROM dead_letters

-- a cast of a score's name
SELECT map_keys(scores)[1]::INTEGER FROM feedback

-- a cast of costs that overflows
SELECT cost_usd::DECIMAL(4, 2) FROM calls

-- a sum that overflows
SELECT (prompt_tokens * 9_000_000_000_000)::INTEGER FROM calls

-- a division by nought
SELECT 1 // (prompt_tokens - 424242) FROM calls

-- an error that says a value
SELECT error(user_id) FROM calls WHERE user_id LIKE 'CANARY%'

-- an error where a row is there
SELECT CASE WHEN user_id LIKE 'CANARY%' THEN error('it is there') END FROM calls

-- an error in a condition that is pushed into the scan
SELECT 1 FROM calls WHERE if(user_id LIKE 'CANARY%', error(user_id), true)

-- an error in the join of ratings
SELECT 1 FROM calls WHERE if(rating, error('rated'), true)

-- an error in scores
SELECT 1 FROM calls WHERE if(scores['secret'] > 0, error('scored'), true)

-- an error in properties given later
SELECT 1 FROM calls WHERE if(properties['later'] IS NOT NULL, error('given'), true)

-- an error over ratings' times
SELECT 1 FROM feedback WHERE if(given_at > '2000-01-01', error(comment), true)

-- an error over dead letters
SELECT 1 FROM dead_letters WHERE if(reason <> '', error(reason), true)

-- an error over what was booked
SELECT 1 FROM cost_history WHERE if(cost_usd > 7000, error('dear'), true)

-- an error over bodies of others
SELECT 1 FROM request_response_rmt WHERE if(length(request_body) > 0, error(request_body), true)

-- an error in a subquery that is pulled up
SELECT 1 FROM (SELECT if(organization = 'other', error(call_id), 1) AS x FROM calls) WHERE x = 1

-- an error in an aggregate
SELECT max(if(organization = 'other', error(call_id), call_id)) FROM calls

-- an error in an aggregate's filter
SELECT count(*) FILTER (if(organization = 'other', error(call_id), true)) FROM calls

-- an error in a join's condition
SELECT 1 FROM calls a JOIN calls b ON if(b.organization = 'other', error(b.call_id), a.call_id = b.call_id)

-- an error in a sort
SELECT 1 FROM calls ORDER BY if(organization = 'other', error(call_id), 1) LIMIT 1

-- an error in a QUALIFY
SELECT 1 FROM calls QUALIFY if(organization = 'other', error(call_id), true)

-- an error in a TRY_CAST that is not one
SELECT TRY(error(user_id)) FROM calls

-- an enum of the values
SELECT user_id::ENUM('a') FROM calls

-- a struct by a name from the rows
SELECT struct_extract({'a': 1}, user_id) FROM calls

-- a pattern from the rows
SELECT regexp_matches('x', '(' || user_id) FROM calls

-- a time format from the rows
SELECT strptime(user_id, '%Y') FROM calls

-- JSON from the rows
SELECT json_extract(text, '$') FROM bodies

-- JSON that is no JSON
SELECT text::JSON FROM bodies

-- a list that is too short
SELECT range(424242)[prompt_tokens] FROM calls LIMIT 0

-- a subquery of more rows than one
SELECT (SELECT user_id FROM calls)

-- statistics of a column
SELECT stats(user_id) FROM calls

-- statistics of the cost
SELECT stats(cost_usd) FROM calls LIMIT 1

-- an approximate summary
SUMMARIZE calls

-- a summary of bodies
SUMMARIZE SELECT text FROM bodies

-- an explanation
EXPLAIN SELECT * FROM calls

-- an explanation with figures
EXPLAIN ANALYZE SELECT count(*) FROM calls

-- an explanation as JSON
EXPLAIN (FORMAT json) SELECT * FROM calls

-- the plan in a subquery
SELECT * FROM (EXPLAIN SELECT * FROM calls)

-- minimum and maximum, which footers know
SELECT min(user_id), max(user_id), min(cost_usd), max(cost_usd), min(created_at), max(created_at) FROM calls

-- a count, which footers know
SELECT count(*) FROM calls

-- a count of a column
SELECT count(user_id), count(DISTINCT user_id), approx_count_distinct(user_id) FROM calls

-- a count by organization
SELECT organization, count(*) FROM calls GROUP BY ALL

-- a histogram
SELECT histogram(user_id) FROM calls

-- values of a histogram
FROM histogram_values(calls, user_id)

-- a histogram by its table function
FROM histogram('calls', 'user_id')

-- numbers of rows in the file
SELECT file_row_number, * FROM calls

-- the file's name
SELECT filename FROM calls

-- the place in the file
SELECT rowid FROM calls

-- the day that is in the path
SELECT day FROM calls

-- hidden columns
SELECT COLUMNS('.*') FROM calls

-- hidden columns by a lambda
SELECT COLUMNS(c -> c LIKE '%') FROM bodies

-- a star with what is left out
SELECT * EXCLUDE (organization), 'other' AS organization FROM calls

-- a star that is replaced
SELECT * REPLACE ('other' AS organization) FROM calls

-- positions
SELECT #1, #2, #3 FROM calls

-- a position beyond the last
SELECT #100 FROM calls

-- another position
SELECT * FROM calls ORDER BY 9999

-- a positional join
SELECT * FROM calls POSITIONAL JOIN bodies

-- the whole row
SELECT calls FROM calls

-- the row as text
SELECT calls::VARCHAR FROM calls

-- the row as JSON
SELECT to_json(calls), row_to_json(calls) FROM calls

-- all rows in one
SELECT list(calls) FROM calls

-- the other's name as a WITH
WITH other AS (SELECT * FROM calls) SELECT * FROM other WHERE organization = 'other'

-- a WITH of the view's name
WITH calls AS (SELECT * FROM calls) SELECT * FROM calls WHERE organization = 'other'

-- a WITH of the view's name that is recursive
WITH RECURSIVE calls AS (SELECT 'a' AS call_id UNION ALL SELECT c.call_id FROM calls c WHERE false) FROM calls

-- a WITH out of its scope
SELECT * FROM (WITH amendments AS (SELECT 1) FROM amendments), amendments

-- a WITH that shadows a table of the lake
WITH amendments AS (SELECT 1 AS x) SELECT * FROM amendments

-- a name with dots
WITH "temp.calls" AS (SELECT 1) SELECT * FROM "temp.calls"

-- a lateral join that widens
SELECT * FROM calls a, LATERAL (SELECT * FROM calls b WHERE b.organization <> a.organization)

-- a correlated subquery that widens
SELECT (SELECT count(*) FROM calls b WHERE b.organization <> a.organization) FROM calls a

-- an anti join
SELECT * FROM bodies ANTI JOIN calls USING (call_id)

-- an ASOF join
SELECT * FROM calls a ASOF JOIN feedback f ON a.created_at <= f.given_at

-- a right join of ratings
SELECT f.* FROM calls RIGHT JOIN feedback f USING (request_id)

-- a request's id that both have
SELECT * FROM calls WHERE request_id = 'shared'

-- bodies of a call's id that both have
SELECT b.* FROM bodies b JOIN calls c USING (call_id) WHERE c.call_id = 'shared'

-- ratings of a request's id that both have
SELECT rating, scores, properties FROM calls WHERE request_id = 'shared'

-- a pivot
PIVOT calls ON organization IN ('acme', 'other') USING count(*)

-- an unpivot
UNPIVOT (SELECT user_id, model, organization FROM calls) ON COLUMNS(*) INTO NAME n VALUE v

-- grouping sets
SELECT organization, user_id, count(*) FROM calls GROUP BY CUBE (organization, user_id) ORDER BY ALL

-- a sample
SELECT count(*) FROM (SELECT * FROM calls USING SAMPLE 100%)

-- a sample of the table
SELECT count(*) FROM calls TABLESAMPLE reservoir(1000)

-- a window beyond the rows
SELECT lead(user_id, 1) OVER (ORDER BY created_at), lag(user_id, 1) OVER (ORDER BY created_at) FROM calls

-- hidden tables
SHOW ALL TABLES

-- the tables of other databases
SHOW DATABASES

-- tables that there are
SHOW TABLES

-- a table, described
DESCRIBE calls

-- columns that there are
SHOW calls

-- the text of a view
SELECT sql FROM duckdb_views()

-- the text of a view as a table
SELECT * FROM duckdb_views

-- the columns that the engine knows
SELECT * FROM duckdb_columns()

-- the engine's tables
SELECT * FROM duckdb_tables()

-- dependencies
FROM duckdb_dependencies()

-- the database's objects
SELECT * FROM sqlite_master

-- the temporary objects
SELECT * FROM sqlite_temp_master

-- views of the information schema
SELECT view_definition FROM information_schema.views

-- columns of the information schema
SELECT * FROM information_schema.columns

-- the catalog of PostgreSQL
SELECT * FROM pg_catalog.pg_class

-- views of that catalog
SELECT definition FROM pg_views

-- the text of a view by its number
SELECT pg_get_viewdef(0)

-- what others ask now
SELECT current_query()

-- what others asked
FROM duckdb_logs

-- who asks
SELECT current_user, session_user, current_database(), current_schema(), current_role

-- what is prepared
FROM duckdb_prepared_statements()

-- the number of transactions
SELECT txid_current()

-- an alias of the view in a function
SELECT count(c.call_id) FROM calls AS c WHERE c.organization IN (SELECT organization FROM bodies)

-- a filter on a type that differs
SELECT * FROM calls WHERE organization = 0

-- a collation
SELECT * FROM calls WHERE organization COLLATE NOCASE = 'OTHER'

-- a condition on the day
SELECT count(*) FROM calls WHERE created_at BETWEEN '2026-01-01' AND '2026-12-31'

-- a bound that only the other's rows have
SELECT count(*) FROM calls WHERE cost_usd > 7000

-- the newest of all
SELECT * FROM calls ORDER BY created_at DESC, call_id LIMIT 1

-- a parameter that is a condition
SELECT * FROM calls WHERE organization = coalesce(NULL, 'other')

-- a macro of the engine over columns
SELECT list_distinct(list(organization)) FROM calls

-- all that is shown
SHOW ALL
