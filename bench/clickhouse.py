"""The calls of a lake in an embedded ClickHouse, to be asked the same questions.

It holds them as it is given them best: one `MergeTree` by (organization, created_at), texts of few values as `LowCardinality`, Bloom
filters on the ids that people look for, all merged. Amendments and the properties given afterwards are worked into the rows while they are
loaded, which is to its advantage: Heliograph lays them over when it is asked. `calls_rated` joins the newest rating and scores as well.
"""

from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from storage.engine import literal
from storage.lake import Lake
from storage.schema import CALLS, FEEDBACK
from storage.snapshots import Snapshots
from storage.sources import LiveFile

Track = Callable[[list[list[LiveFile]]], Iterable[list[LiveFile]]]

THREADS = 2
MISSING = "ClickHouse is not here: install what the dependency group `bench` names (pip install 'chdb>=4'), and start this again."

ORDER = ("organization", "created_at")
NEVER_NULL = {"call_id", "request_id", "organization", "created_at", "revision"}
SOUGHT = ("call_id", "request_id", "user_id", "session_id")
"""Have a Bloom filter."""
FEW_VALUES = {
    *("organization", "provider", "dialect", "method", "path", "target_url", "model", "request_model", "response_model", "model_override"),
    *("outcome", "session_name", "session_path", "prompt_id", "prompt_version", "usage_source", "usage_method", "price_source"),
    *("price_basis", "price_note", "finish_reason", "error", "source"),
}
PLAIN = {
    "string": "String",
    "bool": "Bool",
    "int32": "Int32",
    "int64": "Int64",
    "float": "Float32",
    "double": "Float64",
    "timestamp[us]": "DateTime64(6, 'UTC')",
}


def clickhouse_type(kind: pa.DataType) -> str:
    """Its type for one of the lake's. A column of maps has no NULLs there: none is an empty one."""
    if pa.types.is_map(kind):
        key = "LowCardinality(String)" if pa.types.is_string(kind.key_type) else clickhouse_type(kind.key_type)
        return f"Map({key}, {clickhouse_type(kind.item_type)})"
    if pa.types.is_struct(kind):
        return f"Tuple({', '.join(f'{field.name} {clickhouse_type(field.type)}' for field in kind)})"
    if pa.types.is_list(kind):
        return f"Array({clickhouse_type(kind.value_type)})"
    if pa.types.is_decimal(kind):
        return f"Nullable(Decimal({kind.precision}, {kind.scale}))"
    return f"Nullable({PLAIN[str(kind)]})"


def column_type(field: pa.Field) -> str:
    kind = clickhouse_type(field.type)
    if field.name in NEVER_NULL:
        kind = kind.removeprefix("Nullable(").removesuffix(")")
    return f"LowCardinality({kind})" if field.name in FEW_VALUES else kind


def declared(schema: pa.Schema) -> str:
    """The columns as the files have them."""
    return ", ".join(f"{field.name} {clickhouse_type(field.type)}" for field in schema if field.name != "day")


def files_sql(files: Iterable[LiveFile], schema: pa.Schema) -> str:
    """The rows of some Parquet files, columns that they lack empty."""
    columns = literal(declared(schema))
    each = [f"SELECT * FROM file({literal(file.path)}, Parquet, {columns})" for file in files]
    return " UNION ALL ".join(each or [f"SELECT * FROM null({columns})"])


CREATE_CALLS = f"""
    CREATE TABLE calls ({", ".join(f"{field.name} {column_type(field)}" for field in CALLS if field.name != "day")},
        {", ".join(f"INDEX by_{name} {name} TYPE bloom_filter GRANULARITY 1" for name in SOUGHT)})
    ENGINE = MergeTree ORDER BY ({", ".join(ORDER)})"""


def laid_over(column: str, kind: str) -> str:
    """The maps of a group as one, later ones over earlier ones."""
    ordered = f"arraySort(groupArray((given_at, feedback_id, {column})))"
    maps = f"arrayMap(each -> CAST(each.3, '{kind}'), {ordered})"
    return f"arrayFold((older, newer) -> mapUpdate(older, newer), {maps}, CAST(map(), '{kind}'))"


CREATE_JUDGED = f"""
    CREATE VIEW judged AS SELECT organization, request_id,
        argMaxIf(tuple(rating), (given_at, feedback_id), rating IS NOT NULL OR rating_retracted).1 AS rating,
        mapFilter((name, score) -> score IS NOT NULL, {laid_over("scores", "Map(String, Nullable(Float64))")}) AS scores,
        {laid_over("properties", "Map(String, Nullable(String))")} AS properties
    FROM feedback WHERE request_id != '' GROUP BY organization, request_id"""

CREATE_RATED = """
    CREATE VIEW calls_rated AS
    SELECT c.* REPLACE(mapUpdate(c.properties, f.properties) AS properties), f.scores AS scores, f.rating AS rating
    FROM calls AS c LEFT JOIN judged AS f ON f.organization = c.organization AND f.request_id = c.request_id"""


class ClickHouse:
    """An engine over a folder of its own. Close it at the end: a process has one at a time."""

    def __init__(self, folder: Path) -> None:
        try:
            from chdb import session  # noqa: PLC0415 - in no installation but for this
        except ImportError:
            raise SystemExit(MISSING) from None
        self._session = session.Session(str(folder))

    def __enter__(self) -> "ClickHouse":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._session.close()

    def ask(self, sql: str) -> pa.Table:
        """The answer, as Arrow as well."""
        answer = self._session.query(f"{sql} SETTINGS max_threads = {THREADS}", "Arrow").bytes()
        return pa.ipc.open_file(pa.BufferReader(answer)).read_all()

    def run(self, sql: str) -> None:
        self._session.query(sql)

    def version(self) -> str:
        return str(self.ask("SELECT version() AS v").column("v")[0])

    def bytes_of_calls(self) -> int:
        sizes = self.ask("SELECT sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND table = 'calls'")
        return int(sizes.column("bytes")[0].as_py())

    def holds(self) -> int:
        """How many calls; 0 as well where there is no table."""
        (there,) = self.ask(
            "SELECT count() AS n FROM system.tables WHERE database = currentDatabase() AND name = 'calls_rated'"
        ).to_pylist()
        return int(self.ask("SELECT count() AS n FROM calls").column("n")[0].as_py()) if there["n"] else 0

    def load(self, lake: Lake, track: Track = list) -> None:
        """The lake's live rows, a day at a time, so that it takes no more memory than a day. `track` shows how far it is."""
        found = Snapshots(lake).sources(("calls", "amendments", "feedback"))
        for name in ("calls_rated", "judged"):
            self.run(f"DROP VIEW IF EXISTS {name}")
        for name in ("calls", "feedback", "amended", "given"):
            self.run(f"DROP TABLE IF EXISTS {name}")
        self.run(CREATE_CALLS)
        feedback = ", ".join(f"{field.name} {column_type(field)}" for field in FEEDBACK if field.name != "day")
        self.run(f"CREATE TABLE feedback ({feedback}) ENGINE = MergeTree ORDER BY (organization, request_id)")
        self.run(f"INSERT INTO feedback {files_sql(found['feedback'].files, FEEDBACK)}")
        self.run(CREATE_JUDGED)
        self.run(
            f"CREATE TABLE amended ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM ({files_sql(found['amendments'].files, CALLS)})"
            " ORDER BY revision DESC, amended_at DESC LIMIT 1 BY call_id"
        )
        self.run(
            "CREATE TABLE given ENGINE = MergeTree ORDER BY request_id AS"
            " SELECT organization, request_id, properties FROM judged WHERE notEmpty(properties)"
        )
        for files in track(by_day(found["calls"].files)):
            self.run(_insert(f"({files_sql(files, CALLS)}) WHERE call_id NOT IN (SELECT call_id FROM amended WHERE revision > 0)"))
        self.run(_insert("amended WHERE revision > 0 OR revision < 0 AND call_id NOT IN (SELECT call_id FROM calls)"))
        self.run("OPTIMIZE TABLE calls FINAL")
        self.run("OPTIMIZE TABLE feedback FINAL")
        self.run(CREATE_RATED)


def _insert(rows: str) -> str:
    """With the properties that were given afterwards."""
    return f"""
        INSERT INTO calls SELECT c.* REPLACE(mapUpdate(c.properties, f.properties) AS properties)
        FROM (SELECT * FROM {rows}) AS c
        LEFT JOIN given AS f ON f.organization = c.organization AND f.request_id = c.request_id"""


def by_day(files: Iterable[LiveFile]) -> list[list[LiveFile]]:
    days: dict[date | None, list[LiveFile]] = {}
    for file in files:
        days.setdefault(file.day, []).append(file)
    return list(days.values())
