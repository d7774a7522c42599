"""The tables that people ask: `calls`, `bodies`, `feedback`, `dead_letters`, as SQL over the lake's live files.

On disk facts are only appended; a view is what they say together. `calls` is the live rows without those that were amended, plus the newest
amendment of each, joined with the newest rating and scores, and the properties given afterwards. It is built for the files there are: over
days without amendments it is a plain scan, and the optimizer drops the joins that a question does not use.
"""

# ruff: noqa: S608 SQL is what this file makes; every text that goes into it passes `literal`

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import date, timedelta
from functools import partial

from msgspec import Struct, structs

from eventlog.events import DEFAULT_ORGANIZATION, Organization
from storage import columns, helicone_view
from storage.engine import literal
from storage.few import FewCalls
from storage.judged import with_feedback_sql
from storage.needed import JUDGED
from storage.rollups import shown
from storage.schema import TABLES
from storage.sources import PARTITION, Hidden, LiveFile, Source, Sources, Standing, changed_days, duckdb_type, scan_sql, timestamp


class Column(Struct, frozen=True, kw_only=True):
    """A column as people see it."""

    name: str
    type: str
    """DuckDB's name of it."""
    description: str


class View(Struct, frozen=True, kw_only=True):
    """A table that people ask."""

    name: str
    description: str
    columns: tuple[Column, ...]
    reads: tuple[str, ...]
    """The tables of the lake it is made of."""
    sql: Callable[[Sources, Organization | None], str]
    """The SELECT that it is. Given an organization, only its rows are in it."""
    lean: Callable[[Sources, Organization | None, Set[str]], str] | None = None
    """The same for a question that needs only some of the columns gathered from feedback: the others are NULL."""


def _plain_sql(table: str) -> Callable[[Sources, Organization | None], str]:
    def build(sources: Sources, organization: Organization | None) -> str:
        return scan_sql(sources[table], sources[table].files, organization)

    return build


def _dead_letters_sql(sources: Sources, organization: Organization | None) -> str:
    """Whose event could not be read is the operator's concern: his organization sees it too.

    Two scans, each with a condition that is looked at before any of the question's: a question must not tell of other rows by its errors.
    """
    source = sources["dead_letters"]
    own = scan_sql(source, source.files, organization)
    if organization != DEFAULT_ORGANIZATION or not source.files:
        return own
    return f"{own} UNION ALL BY NAME {scan_sql(source, source.files, None)} WHERE organization IS NULL"


def view_sql(view: View, sources: Sources, organization: Organization | None, needs: Set[str]) -> str:
    """The SELECT that a view is, for a question that needs no more than that of what is gathered from feedback."""
    return view.sql(sources, organization) if view.lean is None else view.lean(sources, organization, needs)


def _calls_sql(sources: Sources, organization: Organization | None, needs: Set[str] = JUDGED) -> str:
    current = current_calls_sql(sources["calls"], sources["amendments"], organization)
    return with_feedback_sql(current, sources["feedback"], organization, needs=needs)


def some_calls_sql(sources: Sources, organization: Organization | None) -> str:
    """The view `calls` over some of its files. Feedback of other calls is not gathered: that of all may be more than fits into memory."""
    current = current_calls_sql(sources["calls"], sources["amendments"], organization)
    return with_feedback_sql(current, sources["feedback"], organization, about=f"request_id IN (SELECT request_id FROM ({current}))")


def few_calls_sql(sources: Sources, organization: Organization | None, found: FewCalls) -> str:
    """`calls`, of a few calls alone."""
    calls, amendments = (_of_days(sources[name], found.days) for name in ("calls", "amendments"))
    if amendments.standing is not None:
        amendments = structs.replace(amendments, standing=amendments.standing.of(frozenset(found.call_ids)))
    those = "false"
    if found.first is not None and found.last is not None:
        those = f"call_id IN ({_listed(found.call_ids)}) AND created_at BETWEEN {timestamp(found.first)} AND {timestamp(found.last)}"
    current = f"SELECT * FROM ({current_calls_sql(calls, amendments, organization)}) WHERE {those}"
    return with_feedback_sql(current, sources["feedback"], organization, about=f"request_id IN ({_listed(found.request_ids)})")


def _of_days(source: Source, days: Set[date]) -> Source:
    return structs.replace(source, files=tuple(file for file in source.files if file.day is None or file.day in days))


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(map(literal, texts)) or "NULL"


def current_calls_sql(calls: Source, amendments: Source, organization: Organization | None) -> str:
    """Live rows, and in the days that have amendments those in the place of the rows they replace."""
    changed = changed_days(calls, amendments)
    if not changed:
        return scan_sql(calls, calls.files, organization)
    if amendments.standing is not None:
        return _standing_sql(calls, amendments, amendments.standing, organization)
    days = sorted(day for day in changed if day is not None)
    if len(days) < len(changed):
        return _amended_sql(calls, calls.files, amendments, organization)
    touched = [file for file in calls.files if file.day is None or file.day in days]
    clean = [file for file in calls.files if file.day is not None and file.day not in days]
    amended = _amended_sql(calls, touched, amendments, organization)
    return f"{scan_sql(calls, clean, organization)} UNION ALL BY NAME SELECT * FROM ({amended}) WHERE {_span_sql(days)}"


def _standing_sql(calls: Source, amendments: Source, standing: Standing, organization: Organization | None) -> str:
    """The live rows but for those that are known not to stand, and the amendments that are known to stand."""
    hidden = [row for row in standing.hidden if organization in (None, row.organization)]
    days = {row.created_at.date() for row in hidden}
    scans = [scan_sql(calls, [file for file in calls.files if file.day not in days], organization)]
    if hidden:
        own = [file for file in calls.files if file.day in days]
        scans.append(
            f"SELECT * FROM ({scan_sql(calls, own, organization)}) WHERE ({_hidden_sql(hidden, by_id=standing.by_id)}) IS NOT TRUE"
        )
    live = {file.path for file in amendments.files}
    shown = [row for row in standing.shown if organization in (None, row.organization) and row.path in live]
    if shown:
        files = [file for file in amendments.files if file.path in {row.path for row in shown}]
        places = ", ".join(f"({literal(row.path)}, {row.place})" for row in shown)
        scans.append(f"{scan_sql(amendments, files, None)} WHERE (filename, file_row_number) IN ({places})")
    return " UNION ALL ".join(scans)


def _hidden_sql(hidden: Sequence[Hidden], *, by_id: bool) -> str:
    """Holds for these rows. Both columns are numbers that cost nearly nothing to read; ids would be a third of a call's bytes."""
    revisions: dict[int, list[Hidden]] = {}
    for row in hidden:
        revisions.setdefault(row.revision, []).append(row)
    return " OR ".join(
        f"(revision = {revision} AND created_at IN ({', '.join(sorted({timestamp(row.created_at) for row in rows}))})"
        + (f" AND (organization, call_id) IN ({_pairs((row.organization, row.call_id) for row in rows)})" if by_id else "")
        + ")"
        for revision, rows in revisions.items()
    )


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"({literal(one)}, {literal(other)})" for one, other in sorted(set(pairs)))


def _cost_history_sql(sources: Sources, organization: Organization | None) -> str:
    """Of each call whose figures were replaced: what was written first, and what took its place."""
    calls, amendments, superseded = sources["calls"], sources["amendments"], sources["superseded"]
    days = {file.day for file in (*amendments.files, *superseded.files)}
    touched = calls.files if None in days else [file for file in calls.files if file.day is None or file.day in days]
    replaced = f"SELECT * FROM ({scan_sql(amendments, amendments.files, organization)}) WHERE revision > 0"
    before = scan_sql(superseded, superseded.files, organization)
    return f"""
        SELECT * FROM (
            SELECT {", ".join(BOOKED)}, coalesce(amended_at, completed_at) AS booked_at FROM (
                SELECT * FROM ({scan_sql(calls, touched, organization)})
                SEMI JOIN (SELECT call_id FROM ({replaced}) UNION ALL SELECT call_id FROM ({before})) replaced USING (call_id)
                UNION ALL BY NAME {replaced}
            ) UNION ALL BY NAME SELECT {", ".join(BOOKED)}, coalesce(amended_at, completed_at) AS booked_at FROM ({before})
        ) QUALIFY row_number() OVER (PARTITION BY call_id, revision) = 1"""


def _span_sql(days: Sequence[date]) -> str:
    """A condition that holds for all rows of `days`. A question about other times contradicts it, and the optimizer drops the branch."""
    first, last = days[0], days[-1] + timedelta(days=1)
    return f"created_at >= TIMESTAMP '{first.isoformat()}' AND created_at < TIMESTAMP '{last.isoformat()}'"


def _amended_sql(calls: Source, files: Sequence[LiveFile], amendments: Source, organization: Organization | None) -> str:
    """Of each call the row that stands: that of the highest revision. Where an amendment was folded in, the live row has it.

    An amendment that comes late may have a lower one than was folded in meanwhile, and stands for nothing then.
    """
    live, instead = scan_sql(calls, files, organization), scan_sql(amendments, amendments.files, organization)
    if given_up := [file for file in files if file.holds_abandoned]:
        instead = f"{instead} UNION ALL BY NAME SELECT * FROM ({scan_sql(calls, given_up, organization)}) WHERE revision < 0"
        live = f"SELECT * FROM ({live}) WHERE revision >= 0"
    newest = f"""
        SELECT * FROM ({instead})
        QUALIFY row_number() OVER (PARTITION BY call_id ORDER BY revision DESC, amended_at DESC) = 1"""
    replacing = f"SELECT * FROM ({newest}) WHERE revision > 0"
    if folded := [file for file in files if file.holds_amended]:
        ahead = f"SELECT call_id, revision FROM ({scan_sql(calls, folded, organization)}) WHERE revision > 0"
        replacing = f"SELECT * FROM ({replacing}) a ANTI JOIN ({ahead}) l ON l.call_id = a.call_id AND l.revision >= a.revision"
    return f"""
        SELECT * FROM ({live}) live ANTI JOIN (SELECT call_id FROM ({replacing})) replaced USING (call_id)
        UNION ALL BY NAME
        SELECT * FROM ({replacing})
        UNION ALL BY NAME
        SELECT * FROM (SELECT * FROM ({newest}) WHERE revision < 0) abandoned ANTI JOIN ({live}) live USING (call_id)"""


_RATED = {"scores": "MAP(VARCHAR, DOUBLE)", "rating": "BOOLEAN"}


def _view(name: str, description: str, docs: Mapping[str, str], **more: str) -> View:
    """The view over the lake's table of the same name."""
    types = {field.name: duckdb_type(field.type) for field in TABLES[name] if field.name != PARTITION} | more
    described = tuple(Column(name=column, type=kind, description=docs[column]) for column, kind in types.items())
    return View(name=name, description=description, columns=described, reads=(name,), sql=_plain_sql(name))


def _calls_view() -> View:
    plain = _view("calls", "One row per call: who asked what of whom, how it ended, its tokens and its cost.", columns.CALLS, **_RATED)
    return structs.replace(plain, reads=("calls", "amendments", "feedback"), sql=_calls_sql, lean=_calls_sql)


BOOKED = (
    *("call_id", "organization", "created_at", "provider", "model", "revision"),
    *("cost_usd", "cost_saved_usd", "price_source", "price_basis", "rates"),
)


def _cost_history_view() -> View:
    types = {field.name: duckdb_type(field.type) for field in TABLES["calls"]}
    kept = {name: types[name] for name in BOOKED} | {"booked_at": "TIMESTAMP"}
    docs = {**columns.CALLS, **columns.COST_HISTORY}
    return View(
        name="cost_history",
        description="What was booked before, of calls whose figures were replaced: one row for each figure, the standing one too.",
        columns=tuple(Column(name=name, type=kind, description=docs[name]) for name, kind in kept.items()),
        reads=("calls", "amendments", "superseded"),
        sql=_cost_history_sql,
    )


def _helicone_view() -> View:
    def build(sources: Sources, organization: Organization | None) -> str:
        bodies = sources["bodies"]
        return helicone_view.helicone_sql(_calls_sql(sources, organization), scan_sql(bodies, bodies.files, organization))

    described = tuple(Column(name=name, type=kind, description=told) for name, (kind, _, told) in helicone_view.COLUMNS.items())
    reads = ("calls", "amendments", "feedback", "bodies")
    return View(name=helicone_view.NAME, description=helicone_view.DESCRIPTION, columns=described, reads=reads, sql=build)


def _rollup_view(grain: str) -> View:
    def build(sources: Sources, organization: Organization | None) -> str:
        return shown.sql_of(
            sources, grain, partial(scan_sql, organization=organization), partial(current_calls_sql, organization=organization)
        )

    described = tuple(Column(name=name, type=kind, description=told) for name, (kind, told) in shown.columns(grain).items())
    return View(
        name=f"calls_by_{grain}",
        description=shown.DESCRIPTIONS[grain],
        columns=described,
        reads=("calls", "amendments", "rollups"),
        sql=build,
    )


VIEWS: Mapping[str, View] = {
    view.name: view
    for view in (
        _calls_view(),
        _rollup_view("hour"),
        _rollup_view("day"),
        _cost_history_view(),
        _view("bodies", "What was said: one row per call and side.", columns.BODIES),
        _view("feedback", "Every rating, score and property given to a request after the fact.", columns.FEEDBACK),
        structs.replace(
            _view("dead_letters", "Events that could not be understood, with enough to find them.", columns.DEAD_LETTERS),
            sql=_dead_letters_sql,
        ),
        _helicone_view(),
    )
}
