-- https
FROM read_csv('https://127.0.0.1:{port}/x.csv')

-- http as a table
FROM 'http://127.0.0.1:{port}/x.parquet'

-- an object store
FROM read_parquet('s3://bucket/x.parquet')

-- another object store
FROM 'gcs://bucket/x.parquet'

-- a data set of Hugging Face
FROM 'hf://datasets/x/y.csv'

-- a database over HTTP
ATTACH 'http://127.0.0.1:{port}/x.db' AS x

-- PostgreSQL
FROM postgres_scan('host=127.0.0.1 port={port}', 'public', 'x')

-- PostgreSQL, attached
ATTACH 'host=127.0.0.1 port={port}' AS x (TYPE postgres)

-- MySQL
FROM mysql_query('x', 'SELECT 1')

-- an HTTP client
SELECT http_get('http://127.0.0.1:{port}/')

-- a server inside
SELECT httpserve_start('0.0.0.0', 9999, '')

-- the web interface
CALL start_ui()

-- an extension
INSTALL httpfs

-- an extension by force
FORCE INSTALL httpfs

-- an extension from elsewhere
INSTALL x FROM 'http://127.0.0.1:{port}/'

-- an extension of the community
INSTALL shellfs FROM community

-- an extension that is loaded
LOAD httpfs

-- an extension from a path
LOAD '/tmp/x.duckdb_extension'

-- newer extensions
UPDATE EXTENSIONS

-- a command of the shell
FROM read_csv('cat /etc/passwd |')

-- which extensions there are
FROM duckdb_extensions()

-- settings
FROM duckdb_settings()

-- one setting
SELECT current_setting('allowed_directories')

-- a setting by SHOW
SHOW allowed_directories

-- another by SHOW
SHOW memory_limit

-- a setting by a pragma
PRAGMA memory_limit

-- secrets
FROM duckdb_secrets(redact = false)

-- a secret
CREATE SECRET x (TYPE s3, KEY_ID 'a', SECRET 'b')

-- a persistent secret
CREATE PERSISTENT SECRET x (TYPE http, BEARER_TOKEN 'x')

-- SET
SET enable_external_access = true

-- SET GLOBAL
SET GLOBAL lock_configuration = false

-- SET SESSION
SET SESSION memory_limit = '100GB'

-- RESET
RESET allowed_directories

-- a pragma that sets
PRAGMA threads = 64

-- a pragma that is enabled
PRAGMA enable_profiling

-- a pragma that runs as a function
SELECT * FROM pragma_database_size()

-- the log of the engine
FROM duckdb_logs

-- logging to a file
CALL enable_logging(storage = 'file', storage_path = '/tmp/x')

-- profiling to a file
SET profiling_output = '/tmp/x'

-- a folder for temporary files
SET temp_directory = '/tmp/x'

-- temporary files
FROM duckdb_temporary_files()

-- what is held in memory
FROM duckdb_memory()

-- an environment variable
SELECT getenv('HELIOGRAPH_API_KEY')

-- an environment variable by the method's way
SELECT 'HOME'.getenv()

-- a variable
SET VARIABLE x = 1

-- a variable that is read
SELECT getvariable('x')

-- a session that sleeps
SELECT pg_sleep(60)

-- a database in memory
ATTACH ':memory:' AS x

-- a database in a file
ATTACH '/tmp/x.db' AS x

-- a database of another type
ATTACH '/tmp/x.db' AS x (TYPE sqlite)

-- the database, detached
DETACH memory

-- another database
USE system

-- a schema
USE system.main

-- a table
CREATE TABLE x AS SELECT 1

-- a temporary table
CREATE TEMP TABLE x AS SELECT * FROM calls

-- a table in the place of a view
CREATE OR REPLACE TEMP VIEW calls AS SELECT 1

-- a view for everybody
CREATE VIEW memory.main.calls AS SELECT 1

-- a macro
CREATE MACRO now() AS TIMESTAMP '2000-01-01'

-- a macro that is temporary
CREATE TEMP MACRO sum(x) AS 0

-- a table macro
CREATE MACRO x() AS TABLE FROM read_text('/etc/passwd')

-- a macro that is dropped
DROP MACRO now

-- a function of the engine, dropped
DROP FUNCTION get_current_timestamp

-- a type
CREATE TYPE x AS ENUM ('a')

-- an index
CREATE INDEX x ON calls (call_id)

-- a sequence
CREATE SEQUENCE x

-- a schema that is made
CREATE SCHEMA x

-- a trigger
CREATE TRIGGER x AFTER INSERT ON calls EXECUTE FUNCTION f()

-- INSERT
INSERT INTO calls SELECT * FROM calls

-- INSERT with a RETURNING
INSERT INTO calls (call_id) VALUES ('x') RETURNING *

-- UPDATE
UPDATE calls SET organization = 'acme'

-- DELETE
DELETE FROM calls

-- MERGE
MERGE INTO calls USING bodies USING (call_id) WHEN MATCHED THEN DELETE

-- TRUNCATE
TRUNCATE calls

-- DROP
DROP VIEW calls

-- ALTER
ALTER VIEW calls RENAME TO x

-- COMMENT
COMMENT ON VIEW calls IS 'x'

-- COPY to a file
COPY (SELECT 1) TO '{lake}/x.csv'

-- COPY over a file of the lake
COPY (SELECT 1) TO '{lake}/calls/_delta_log/00000000000000000009.json'

-- COPY to Parquet by parts
COPY calls TO '{lake}/x' (FORMAT parquet, PARTITION_BY (model))

-- COPY from a file
COPY calls FROM '/etc/passwd'

-- COPY of a database
COPY FROM DATABASE memory TO system

-- EXPORT
EXPORT DATABASE '{lake}/x'

-- IMPORT
IMPORT DATABASE '/tmp/x'

-- PREPARE
PREPARE x AS SELECT 1

-- EXECUTE
EXECUTE x

-- DEALLOCATE
DEALLOCATE x

-- a transaction
BEGIN TRANSACTION

-- its end
COMMIT

-- taken back
ROLLBACK

-- CHECKPOINT
FORCE CHECKPOINT

-- VACUUM
VACUUM ANALYZE

-- CALL
CALL pragma_version()

-- a connection that is killed
CALL force_checkpoint()

-- an INSERT in a WITH
WITH x AS (INSERT INTO calls (call_id) VALUES ('x') RETURNING *) FROM x

-- a DELETE in a WITH
WITH x AS (DELETE FROM calls RETURNING *) FROM x

-- a COPY in a WITH
WITH x AS (COPY (SELECT 1) TO '{lake}/x.csv') FROM x

-- an EXPLAIN ANALYZE that writes
EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1

-- an EXPLAIN ANALYZE that copies
EXPLAIN ANALYZE COPY (SELECT 1) TO '{lake}/x.csv'

-- a second statement
SELECT 1; DROP VIEW calls

-- a second statement that copies
SELECT 1; COPY (SELECT 1) TO '{lake}/x.csv'

-- a second statement behind a comment
SELECT 1 /* ; */ ; -- no
SET threads = 1

-- a second statement behind a string
SELECT ';'; ATTACH '/tmp/x.db'

-- a second SELECT
SELECT 1; SELECT 2

-- SQL inside SQL
FROM query('SELECT 1')

-- a table by its name's value
FROM query_table('calls')

-- a plan as text
FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))

-- a plan that is built
SELECT json_serialize_plan('SELECT * FROM calls')

-- a plan in Substrait
FROM from_substrait_json('x')

-- a number that counts for all
SELECT nextval('x')

-- a seed for all
SELECT setseed(0.5)

-- a line in the engine's log
SELECT write_log('x')

-- the state of an aggregate
SELECT finalize(from_hex('00')::AGGREGATE_STATE<sum(INTEGER)>)

-- a pivot that makes a type
PIVOT calls ON model USING count(*)
