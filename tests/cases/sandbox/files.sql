-- a file as a table
SELECT * FROM '/etc/passwd'

-- a Parquet file of the lake as a table
FROM '{lake}/calls/*/*.parquet'

-- the lake's files by name
SELECT * FROM read_parquet('{lake}/calls/**/*.parquet')

-- the lake's files in double quotes
SELECT * FROM "{lake}/calls/x.parquet"

-- a relative path of the lake
SELECT * FROM read_parquet('{lake}/calls/../bodies/**/*.parquet', hive_partitioning = true)

-- parquet_scan
SELECT * FROM parquet_scan('{lake}/bodies/**/*.parquet')

-- footers of the lake's files
SELECT * FROM parquet_metadata('{lake}/calls/**/*.parquet')

-- minima and maxima in the footers
SELECT stats_min, stats_max FROM parquet_metadata('{lake}/calls/**/*.parquet') WHERE path_in_schema = 'user_id'

-- the file's own metadata
FROM parquet_file_metadata('{lake}/calls/**/*.parquet')

-- key and value metadata
FROM parquet_kv_metadata('{lake}/calls/**/*.parquet')

-- a probe of Bloom filters
FROM parquet_bloom_probe('{lake}/calls/**/*.parquet', 'user_id', 'x')

-- the schema of a file
FROM parquet_schema('{lake}/calls/**/*.parquet')

-- Delta's log as JSON
FROM read_json('{lake}/calls/_delta_log/*.json')

-- Delta's log as text
SELECT content FROM read_text('{lake}/calls/_delta_log/00000000000000000000.json')

-- Delta's log as bytes
SELECT content FROM read_blob('{lake}/calls/_delta_log/*')

-- Delta's log as a table
FROM '{lake}/calls/_delta_log/00000000000000000001.json'

-- delta_scan
FROM delta_scan('{lake}/calls')

-- iceberg_scan
FROM iceberg_scan('{lake}/calls')

-- a folder's files
FROM glob('{lake}/**')

-- all of a folder
FROM glob('/etc/*')

-- the environment of the process
FROM read_blob('/proc/self/environ')

-- its memory map
FROM read_text('/proc/self/maps')

-- its open files
FROM glob('/proc/self/fd/*')

-- CSV
SELECT * FROM read_csv('/etc/passwd', delim = ':', header = false)

-- CSV, sniffed
FROM sniff_csv('/etc/passwd')

-- CSV, by its older name
SELECT * FROM read_csv_auto('/etc/hosts')

-- JSON objects
FROM read_json_objects('/etc/hostname')

-- lines of JSON objects
FROM read_ndjson_objects('/etc/hostname')

-- another database
FROM read_duckdb('/tmp/x.db', table_name = 'x')

-- a database of SQLite
FROM sqlite_scan('/tmp/x.db', 'x')

-- a spreadsheet
FROM read_xlsx('/tmp/x.xlsx')

-- what Arrow holds at an address
FROM arrow_scan(1, 2, 3)

-- a frame of Python
FROM pandas_scan(1)

-- a variable of Python
SELECT * FROM questions

-- in a subquery
SELECT (SELECT content FROM read_text('/etc/passwd') LIMIT 1)

-- in a correlated subquery
SELECT (SELECT content FROM read_text(c.path)) FROM calls c

-- in a lateral join
SELECT * FROM calls c, LATERAL (SELECT * FROM read_text(c.path))

-- in a WITH that nobody reads
WITH x AS (FROM read_text('/etc/passwd')) SELECT 1

-- in a WITH inside a WITH
WITH x AS (WITH y AS (FROM read_text('/etc/passwd')) FROM y) FROM x

-- in a materialized WITH
WITH x AS MATERIALIZED (FROM read_csv('/etc/passwd')) FROM x

-- behind a view's name
WITH calls AS (FROM read_text('/etc/passwd')) FROM calls

-- in the recursive half
WITH RECURSIVE x AS (SELECT '' AS c UNION ALL SELECT content FROM read_text('/etc/passwd'), x) FROM x

-- with USING KEY
WITH RECURSIVE x(a, b) USING KEY (a) AS (SELECT 1, '' UNION SELECT 1, content FROM read_text('/etc/passwd'), x) FROM x

-- in a list comprehension
SELECT [(SELECT content FROM read_text('/etc/passwd')) FOR x IN [1]]

-- in a lambda
SELECT list_transform([1], lambda x: (SELECT content FROM read_text('/etc/passwd')))

-- in a struct
SELECT {'a': (SELECT content FROM read_text('/etc/passwd'))}

-- in a filter of an aggregate
SELECT count(*) FILTER (EXISTS (FROM read_text('/etc/passwd'))) FROM calls

-- in a frame of a window
SELECT sum(1) OVER (ORDER BY 1 ROWS BETWEEN (SELECT count(*) FROM read_text('/etc/passwd')) PRECEDING AND CURRENT ROW) FROM calls

-- in HAVING
SELECT count(*) FROM calls HAVING EXISTS (FROM read_text('/etc/passwd'))

-- in GROUP BY
SELECT 1 FROM calls GROUP BY (SELECT content FROM read_text('/etc/passwd'))

-- in OFFSET
SELECT 1 FROM calls OFFSET (SELECT count(*) FROM read_text('/etc/passwd'))

-- in a sample
SELECT * FROM (FROM read_text('/etc/passwd')) USING SAMPLE 1

-- in an UNPIVOT
UNPIVOT (FROM read_text('/etc/passwd')) ON content INTO NAME n VALUE v

-- in the argument of an unnest
SELECT unnest([content]) FROM read_text('/etc/passwd')

-- a table function as a scalar
SELECT read_text('/etc/passwd')

-- a function by its catalog
SELECT * FROM system.main.read_text('/etc/passwd')

-- a function in Unicode escapes
SELECT * FROM U&"\0072ead_text"('/etc/passwd')

-- a path by concatenation
FROM read_text('/etc/' || 'passwd')

-- a path as a parameter of a prepared statement
EXECUTE read('/etc/passwd')

-- a secret for a path
FROM which_secret('s3://bucket/x', 's3')

-- described
DESCRIBE SELECT * FROM '/etc/passwd'

-- summarized
SUMMARIZE FROM read_csv('/etc/passwd')

-- shown
SHOW TABLES FROM '/etc/passwd'

-- a subquery over DESCRIBE
SELECT * FROM (DESCRIBE FROM read_csv('/etc/passwd'))

-- explained
EXPLAIN SELECT * FROM read_text('/etc/passwd')

-- analyzed
EXPLAIN ANALYZE SELECT * FROM read_text('/etc/passwd')

-- FROM with a cast
FROM read_text('/etc/passwd'::VARCHAR)

-- several paths
FROM read_text(['/etc/passwd', '/etc/hosts'])

-- a file URL
FROM read_text('file:///etc/passwd')

-- standard input
FROM read_csv('/dev/stdin')

-- the positional join of a file
SELECT * FROM calls POSITIONAL JOIN read_text('/etc/passwd')

-- a semi join with a file
FROM calls SEMI JOIN (FROM read_text('/etc/passwd')) f ON true

-- an ASOF join with a file
FROM calls c ASOF JOIN read_blob('/etc/passwd') f ON c.created_at >= f.last_modified
