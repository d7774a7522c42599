"""What SQL of strangers may be: a table of statements that are refused, and one of those that must keep working."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from storage.refusal import Refused
from storage.sandbox import FORBIDDEN_FUNCTIONS, FORBIDDEN_PREFIXES, checked

VIEWS = frozenset({"calls", "cost_history", "bodies", "feedback", "dead_letters"})


@pytest.fixture(scope="module")
def parser() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


HOSTILE = {
    # files
    "a file as a table": ("SELECT * FROM '/etc/passwd'", "unknown_table"),
    "a Parquet file as a table": ("SELECT * FROM 'lake/calls/x.parquet'", "unknown_table"),
    "a Parquet file in double quotes": ('SELECT * FROM "x.parquet"', "unknown_table"),
    "a URL as a table": ("FROM 'https://example.com/x.parquet'", "unknown_table"),
    "read_csv": ("SELECT * FROM read_csv('/etc/passwd')", "forbidden_function"),
    "read_csv in capitals": ("SELECT * FROM READ_CSV('/etc/passwd')", "forbidden_function"),
    "read_csv in double quotes": ("SELECT * FROM \"read_csv\"('/etc/passwd')", "forbidden_function"),
    "read_csv by schema": ("SELECT * FROM main.read_csv('/etc/passwd')", "forbidden_function"),
    "read_text": ("FROM read_text('/etc/passwd')", "forbidden_function"),
    "read_blob": ("FROM read_blob('/proc/self/environ')", "forbidden_function"),
    "read_parquet": ("FROM read_parquet('*.parquet')", "forbidden_function"),
    "parquet_scan": ("FROM parquet_scan('*.parquet')", "forbidden_function"),
    "parquet_metadata": ("FROM parquet_metadata('x.parquet')", "forbidden_function"),
    "parquet_kv_metadata": ("FROM parquet_kv_metadata('x.parquet')", "forbidden_function"),
    "parquet_schema": ("FROM parquet_schema('x.parquet')", "forbidden_function"),
    "read_json": ("FROM read_json('x.json')", "forbidden_function"),
    "read_ndjson_objects": ("FROM read_ndjson_objects('x.json')", "forbidden_function"),
    "sniff_csv": ("FROM sniff_csv('x.csv')", "forbidden_function"),
    "glob": ("FROM glob('/etc/*')", "forbidden_function"),
    "read_duckdb": ("FROM read_duckdb('x.db')", "forbidden_function"),
    # in places where one might not look
    "in a subquery": ("SELECT (SELECT content FROM read_text('/etc/passwd'))", "forbidden_function"),
    "in a condition": ("SELECT 1 FROM calls WHERE EXISTS (FROM read_text('/etc/passwd'))", "forbidden_function"),
    "in a WITH": ("WITH x AS (FROM read_text('/etc/passwd')) FROM x", "forbidden_function"),
    "in a recursive WITH": ("WITH RECURSIVE x AS (SELECT 1 UNION ALL FROM read_text('a')) FROM x", "forbidden_function"),
    "in a lateral join": ("FROM calls, LATERAL (FROM read_text(calls.path))", "forbidden_function"),
    "in a union": ("SELECT path FROM calls UNION SELECT content FROM read_text('a')", "forbidden_function"),
    "in an ORDER BY": ("SELECT 1 FROM calls ORDER BY (SELECT 1 FROM read_text('a'))", "forbidden_function"),
    "in a LIMIT": ("SELECT 1 FROM calls LIMIT (SELECT count(*) FROM read_text('a'))", "forbidden_function"),
    "in a QUALIFY": ("SELECT 1 FROM calls QUALIFY row_number() OVER (ORDER BY (SELECT 1 FROM read_text('a'))) = 1", "forbidden_function"),
    "in a lambda": ("SELECT list_transform([1], lambda x: (SELECT 1 FROM read_text('a')))", "forbidden_function"),
    "in a PIVOT": ("SELECT * FROM (PIVOT (FROM read_text('a')) ON filename IN ('a') USING count(*))", "forbidden_function"),
    "in a DESCRIBE": ("DESCRIBE SELECT * FROM read_text('a')", "forbidden_function"),
    "in a SUMMARIZE": ("SUMMARIZE SELECT * FROM read_text('a')", "forbidden_function"),
    "in an EXPLAIN": ("EXPLAIN SELECT * FROM read_text('a')", "forbidden_function"),
    "in an EXPLAIN ANALYZE": ("explain analyze select * from read_text('a')", "forbidden_function"),
    "in a join's condition": ("FROM calls JOIN bodies ON (SELECT true FROM read_text('a'))", "forbidden_function"),
    "in VALUES": ("VALUES ((SELECT content FROM read_text('a')))", "forbidden_function"),
    "as an argument of an allowed function": ("FROM range((SELECT count(*) FROM read_text('a')))", "forbidden_function"),
    "behind a comment": ("/* SELECT */ FROM /**/ read_text('a')", "forbidden_function"),
    "described": ("DESCRIBE '/etc/passwd'", "unknown_table"),
    "described in a subquery": ("SELECT * FROM (DESCRIBE '/etc/passwd')", "unknown_table"),
    "summarized": ("SUMMARIZE '/etc/passwd'", "unknown_table"),
    "summarized as a table": ("SUMMARIZE TABLE '/etc/passwd'", "unknown_table"),
    "shown": ("SHOW '/etc/passwd'", "unknown_table"),
    "as TABLE": ("TABLE '/etc/passwd'", "unknown_table"),
    "as VALUES' subquery": ("SELECT 1 WHERE EXISTS (TABLE '/etc/passwd')", "unknown_table"),
    "joined by position": ("SELECT * FROM calls POSITIONAL JOIN '/etc/passwd'", "unknown_table"),
    "pivoted": ("PIVOT (FROM '/etc/passwd') ON a IN ('x')", "unknown_table"),
    "unpivoted": ("UNPIVOT (FROM '/etc/passwd') ON a INTO NAME n VALUE v", "unknown_table"),
    "behind a view's name": ("WITH calls AS (FROM '/etc/passwd') FROM calls", "unknown_table"),
    "out of the lake's folder": ("FROM 'lake/../x.csv'", "unknown_table"),
    "all of a folder": ("FROM '/etc/*'", "unknown_table"),
    "materialized": ("WITH x AS MATERIALIZED (FROM read_text('/etc/passwd')) FROM x", "forbidden_function"),
    "a function that looks at files": ("FROM which_secret('s3://x', 's3')", "forbidden_function"),
    "another format": ("FROM delta_scan('x')", "forbidden_function"),
    # functions by other ways
    "a method": ("SELECT 'HOME'.getenv()", "forbidden_function"),
    "in a column's lambda": ("SELECT COLUMNS(lambda x: getenv(x) IS NULL) FROM calls", "forbidden_function"),
    "in a reduction": ("SELECT list_reduce(['a'], lambda x, y: getenv(x))", "forbidden_function"),
    "in a table function's argument": ("FROM unnest(getenv('HOME'))", "forbidden_function"),
    "ordered by one": ("SELECT 1 ORDER BY getenv('HOME')", "forbidden_function"),
    "what the engine knows of a column": ("SELECT stats(user_id) FROM calls", "forbidden_function"),
    "what is asked": ("SELECT current_query()", "forbidden_function"),
    # names that hide
    "a WITH that is named as a file": ('WITH "x.csv" AS (SELECT 1) SELECT * FROM "x.csv"', "invalid_sql"),
    "a WITH that opens a catalog table elsewhere": ("SELECT * FROM (WITH duckdb_views AS (SELECT 1) SELECT 1), duckdb_views", "invalid_sql"),
    "a recursive WITH over a catalog table": ("WITH RECURSIVE duckdb_views AS (FROM duckdb_views UNION ALL SELECT 1) FROM duckdb_views", "invalid_sql"),
    "a catalog table": ("SELECT * FROM duckdb_views", "unknown_table"),
    "another catalog table": ("SELECT * FROM sqlite_master", "unknown_table"),
    "pg_catalog": ("SELECT * FROM pg_catalog.pg_views", "unknown_table"),
    "information_schema": ("SELECT * FROM information_schema.tables", "unknown_table"),
    "a view by another catalog": ("SELECT * FROM system.main.calls", "unknown_table"),
    "a table that does not exist": ("SELECT * FROM requests", "unknown_table"),
    # the engine's state
    "duckdb_settings": ("SELECT * FROM duckdb_settings()", "forbidden_function"),
    "duckdb_secrets": ("FROM duckdb_secrets()", "forbidden_function"),
    "duckdb_views, the function": ("FROM duckdb_views()", "forbidden_function"),
    "pragma_version": ("FROM pragma_version()", "forbidden_function"),
    "pragma_storage_info": ("FROM pragma_storage_info('calls')", "forbidden_function"),
    "current_setting": ("SELECT current_setting('allowed_directories')", "forbidden_function"),
    "getenv": ("SELECT getenv('HOME')", "forbidden_function"),
    "getenv as a window": ("SELECT getenv('HOME') OVER ()", "forbidden_function"),
    "getvariable": ("SELECT getvariable('x')", "forbidden_function"),
    "a function by its schema": ("SELECT main.getenv('HOME')", "forbidden_function"),
    "a view's text": ("SELECT pg_get_viewdef(1)", "forbidden_function"),
    "an internal function": ("SELECT __internal_barrier(1)", "forbidden_function"),
    "a log entry": ("SELECT write_log('x')", "forbidden_function"),
    "a nap": ("SELECT pg_sleep(1000)", "forbidden_function"),
    "another nap": ("SELECT sleep_ms(100000)", "forbidden_function"),
    # SQL inside SQL
    "query": ("FROM query('SELECT 1')", "forbidden_function"),
    "query_table": ("FROM query_table('calls')", "forbidden_function"),
    "json_execute_serialized_sql": ("FROM json_execute_serialized_sql('{}')", "forbidden_function"),
    "json_serialize_plan": ("SELECT json_serialize_plan('SELECT 1')", "forbidden_function"),
    # writing
    "INSERT": ("INSERT INTO calls VALUES (1)", "not_read_only"),
    "UPDATE": ("UPDATE calls SET model = 'x'", "not_read_only"),
    "DELETE": ("DELETE FROM calls", "not_read_only"),
    "MERGE": ("MERGE INTO calls USING bodies USING (call_id) WHEN MATCHED THEN DELETE", "not_read_only"),
    "CREATE TABLE": ("CREATE TABLE x AS SELECT 1", "not_read_only"),
    "CREATE MACRO": ("CREATE MACRO f() AS 1", "not_read_only"),
    "DROP": ("DROP VIEW calls", "not_read_only"),
    "ALTER": ("ALTER TABLE calls ADD COLUMN x INT", "not_read_only"),
    "TRUNCATE": ("TRUNCATE calls", "not_read_only"),
    "COPY TO": ("COPY (SELECT 1) TO '/tmp/x.csv'", "not_read_only"),
    "COPY FROM": ("COPY calls FROM '/etc/passwd'", "not_read_only"),
    "EXPORT": ("EXPORT DATABASE '/tmp/x'", "not_read_only"),
    "IMPORT": ("IMPORT DATABASE '/tmp/x'", "not_read_only"),
    "ATTACH": ("ATTACH '/tmp/x.db'", "not_read_only"),
    "DETACH": ("DETACH memory", "not_read_only"),
    "USE": ("USE memory", "not_read_only"),
    "SET": ("SET threads = 1", "not_read_only"),
    "RESET": ("RESET threads", "not_read_only"),
    "PRAGMA": ("PRAGMA database_list", "not_read_only"),
    "CALL": ("CALL pragma_version()", "not_read_only"),
    "INSTALL": ("INSTALL httpfs", "not_read_only"),
    "LOAD": ("LOAD httpfs", "not_read_only"),
    "PREPARE": ("PREPARE x AS SELECT 1", "not_read_only"),
    "EXECUTE": ("EXECUTE x", "not_read_only"),
    "BEGIN": ("BEGIN", "not_read_only"),
    "CHECKPOINT": ("CHECKPOINT", "not_read_only"),
    "VACUUM": ("VACUUM", "not_read_only"),
    "CREATE SECRET": ("CREATE SECRET x (TYPE s3)", "not_read_only"),
    "an INSERT in a WITH": ("WITH x AS (INSERT INTO calls VALUES (1) RETURNING *) FROM x", "not_read_only"),
    "an UPDATE in a WITH": ("WITH x AS (UPDATE calls SET model = '' RETURNING *) FROM x", "not_read_only"),
    "a DELETE in a WITH": ("WITH x AS (DELETE FROM calls RETURNING *) FROM x", "not_read_only"),
    "a COPY in a WITH": ("WITH x AS (COPY (SELECT 1) TO '/tmp/x') FROM x", "not_read_only"),
    "a COPY in an EXPLAIN ANALYZE": ("EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/x'", "not_read_only"),
    "an INSERT in an EXPLAIN": ("EXPLAIN INSERT INTO calls VALUES (1)", "not_read_only"),
    "CREATE TEMP MACRO": ("CREATE TEMP MACRO f() AS TABLE FROM read_text('/etc/passwd')", "not_read_only"),
    "CREATE TYPE": ("CREATE TYPE x AS INT", "not_read_only"),
    "COMMENT": ("COMMENT ON VIEW calls IS 'x'", "not_read_only"),
    "SET VARIABLE": ("SET VARIABLE x = 1", "not_read_only"),
    "INSTALL from elsewhere": ("INSTALL x FROM 'http://x'", "not_read_only"),
    "UPDATE EXTENSIONS": ("UPDATE EXTENSIONS", "not_read_only"),
    "an EXPLAIN of an EXPLAIN": ("EXPLAIN EXPLAIN SELECT 1", "not_read_only"),
    "an EXPLAIN of a PREPARE": ("EXPLAIN PREPARE x AS SELECT 1", "not_read_only"),
    "a PIVOT that must look for its columns": ("PIVOT calls ON model USING count(*)", "not_read_only"),
    # several, none, and broken ones
    "two statements": ("SELECT 1; SELECT 2", "not_read_only"),
    "a second statement that writes": ("SELECT 1; DROP VIEW calls", "not_read_only"),
    "a second statement behind an EXPLAIN": ("EXPLAIN SELECT 1; DROP VIEW calls", "not_read_only"),
    "nothing": ("", "invalid_sql"),
    "only a comment": ("-- SELECT 1", "invalid_sql"),
    "a typing error": ("SELEC 1", "invalid_sql"),
    "an open string": ("SELECT 'x", "invalid_sql"),
    "a NUL": ("SELECT 1 \0 FROM calls", "invalid_sql"),
    "five thousand parentheses": ("SELECT " + "(" * 5000 + "1" + ")" * 5000, "invalid_sql"),
    "five hundred subqueries": ("SELECT * FROM " + "(SELECT * FROM " * 500 + "calls" + ")" * 500, "invalid_sql"),
    "a novel": ("SELECT '" + "x" * 100_000 + "'", "invalid_sql"),
    "something to show": ("SHOW FUNCTIONS", "unknown_table"),
}  # fmt: skip


@pytest.mark.parametrize(("sql", "code"), HOSTILE.values(), ids=HOSTILE)
def test_refused(parser: duckdb.DuckDBPyConnection, sql: str, code: str) -> None:
    with pytest.raises(Refused) as caught:
        checked(sql, parser, views=VIEWS)
    refusal = caught.value.refusal
    assert refusal.code == code
    assert refusal.message
    assert refusal.fix
    assert refusal.field == "sql"


HARMLESS = {
    "a sum": ("SELECT model, sum(cost_usd) FROM calls GROUP BY 1", {"calls"}),
    "a join": ("SELECT * FROM calls JOIN bodies USING (call_id) LEFT JOIN feedback f ON true", {"calls", "bodies", "feedback"}),
    "FROM first": ("FROM Calls", {"calls"}),
    "with the schema": ("SELECT * FROM main.calls", {"calls"}),
    "a WITH": ('WITH x AS (SELECT * FROM calls) SELECT * FROM x, "x" AS y', {"calls"}),
    "a WITH of a view's name": ("WITH calls AS (SELECT * FROM calls WHERE status = 200) SELECT count(*) FROM calls", {"calls"}),
    "recursive": ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) FROM t", set()),
    "a window": ("SELECT lag(cost_usd) OVER w FROM calls WINDOW w AS (PARTITION BY model ORDER BY created_at)", {"calls"}),
    "a function over functions": ("SELECT time_bucket(INTERVAL 5 MINUTE, created_at), quantile_cont(latency_ms, 0.99) FROM calls GROUP BY 1", {"calls"}),
    "properties": ("SELECT properties['feature'], map_keys(properties) FROM calls", {"calls"}),
    "lists": ("SELECT [x * 2 FOR x IN [1, 2] IF x > 1], list_transform([1], lambda x: x + 1)", set()),
    "BETWEEN, IN, CASE, LIKE": ("SELECT CASE WHEN status BETWEEN 200 AND 299 THEN 1 ELSE 2 END FROM calls WHERE model IN ('a') AND path LIKE '/v1%'", {"calls"}),
    "casts and postfix": ("SELECT status::VARCHAR, TRY_CAST(model AS INTEGER), extract(year FROM created_at), 3! FROM calls", {"calls"}),
    "range": ("SELECT * FROM range(10) t(i), unnest([1, 2])", set()),
    "a PIVOT that names its columns": ("PIVOT calls ON model IN ('a', 'b') USING sum(cost_usd) GROUP BY user_id", {"calls"}),
    "an UNPIVOT": ("UNPIVOT calls ON prompt_tokens, completion_tokens INTO NAME n VALUE v", {"calls"}),
    "DESCRIBE": ("DESCRIBE calls", {"calls"}),
    "SUMMARIZE": ("SUMMARIZE SELECT model FROM calls", {"calls"}),
    "SHOW TABLES": ("SHOW TABLES", VIEWS),
    "SHOW ALL TABLES": ("SHOW ALL TABLES", VIEWS),
    "EXPLAIN": ("EXPLAIN SELECT count(*) FROM calls", {"calls"}),
    "EXPLAIN ANALYZE": ("explain analyze select count(*) from calls", {"calls"}),
    "parameters": ("SELECT * FROM calls WHERE model = $model AND status = $status", {"calls"}),
    "set operations": ("SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3 INTERSECT SELECT 4", set()),
    "ordering and paging": ("SELECT DISTINCT ON (model) * FROM calls ORDER BY model, created_at DESC NULLS LAST LIMIT 10 OFFSET 5", {"calls"}),
    "a percentage": ("SELECT * FROM calls ORDER BY ALL LIMIT 10%", {"calls"}),
    "grouping sets": ("SELECT grouping(model), sum(cost_usd) FROM calls GROUP BY ROLLUP (model)", {"calls"}),
    "a sample": ("SELECT * FROM calls USING SAMPLE 10%", {"calls"}),
    "JSON": ("SELECT request->>'$.model', e.key FROM bodies, json_each(request) e", {"bodies"}),
    "star with exceptions": ("SELECT * EXCLUDE (path) REPLACE (1 AS status), COLUMNS('cost.*') FROM calls", {"calls"}),
    "a correlated subquery": ("SELECT * FROM calls c WHERE cost_usd > (SELECT avg(cost_usd) FROM calls d WHERE d.model = c.model)", {"calls"}),
    "VALUES": ("VALUES (1, 'a'), (2, 'b')", set()),
    "a semicolon at the end": ("SELECT 1;", set()),
    "comments": ("-- how many\nSELECT count(*) /* all */ FROM calls", {"calls"}),
    "times": ("SELECT now(), current_timestamp, current_date, created_at AT TIME ZONE 'UTC', age(created_at) FROM calls", {"calls"}),
    "asof, semi and anti joins": ("FROM calls a ASOF JOIN feedback b ON a.created_at >= b.given_at SEMI JOIN bodies c ON true", {"calls", "feedback", "bodies"}),
    "an ANY": ("SELECT model = ANY (SELECT model FROM calls), ARRAY(SELECT 1)", {"calls"}),
    "a thousand conditions": ("SELECT * FROM calls WHERE " + " OR ".join(["status = 1"] * 1000), {"calls"}),
}  # fmt: skip


@pytest.mark.parametrize(("sql", "tables"), HARMLESS.values(), ids=HARMLESS)
def test_let_through(parser: duckdb.DuckDBPyConnection, sql: str, tables: set[str]) -> None:
    assert checked(sql, parser, views=VIEWS).tables == tables


def test_position_points_into_the_statement(parser: duckdb.DuckDBPyConnection) -> None:
    for sql in ("SELECT 1 FROM wrong", "EXPLAIN SELECT 1 FROM wrong", "SELECT count(*) FROM wrong"):
        with pytest.raises(Refused) as caught:
            checked(sql, parser, views=VIEWS)
        assert caught.value.refusal.position == sql.index("wrong")


def test_explain_is_not_for_one_organization(parser: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(Refused) as caught:
        checked("EXPLAIN SELECT 1", parser, views=VIEWS, explain=False)
    assert caught.value.refusal.code == "not_read_only"


def test_every_function_of_the_engine_was_looked_at(parser: duckdb.DuckDBPyConnection) -> None:
    """A new DuckDB may bring a new way out. Look at each name that this test lists, forbid it or add it to the file."""
    reviewed = set((Path(__file__).parents[1] / "cases" / "queries" / "functions-reviewed.txt").read_text().splitlines())
    rows = parser.execute(
        "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE function_type NOT IN ('table', 'table_macro', 'pragma')"
    ).fetchall()
    offered = {name for (name,) in rows if name not in FORBIDDEN_FUNCTIONS and not name.startswith(FORBIDDEN_PREFIXES)}
    collations = {name for name in offered if name.startswith(("collate_", "icu_collate_"))}
    assert sorted(offered - collations - reviewed) == []
