"""Properties that were given to calls afterwards, put together once for each commit, so that questions only join them.

Which value of which property is the newest has to be worked out over all that was ever given: that takes longer than to read the properties
of a day's calls. What comes of it is small where it concerns thousands of calls, and is kept then, as the table that views join.
"""

# ruff: noqa: S608 SQL is made of names of ours

from collections.abc import Sequence
from threading import Lock

import duckdb
import pyarrow as pa
from msgspec import structs

from eventlog.events import Organization
from storage.judged import GIVEN, given_properties_sql, giving, giving_sql
from storage.sources import LiveFile, Source

MOST = 200_000
"""Times that properties were given, of some 80 bytes. Of more, questions put it together themselves: each connection that waits for another
question holds a copy.
"""
_ROWS = f"{GIVEN}_rows"


class Given:
    """Of the newest snapshot. May be used by several threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._last: tuple[Sequence[str], pa.Table | None] = ((), None)
        """What was given, and the files that tell it."""
        self._lock = Lock()

    def told(self, connection: duckdb.DuckDBPyConnection, feedback: Source) -> Source:
        """The table, which knows what was given; as it is, where nothing was, or to too many. Blocks.

        Raises duckdb.Error when a file cannot be read.
        """
        files = giving(feedback)
        if not files or not feedback.whole:
            return feedback
        telling = tuple(file.path for file in files)
        with self._lock:
            if telling != self._last[0]:
                self._last = (telling, self._put_together(connection, feedback, files))
            return structs.replace(feedback, given=self._last[1])

    def _put_together(self, connection: duckdb.DuckDBPyConnection, feedback: Source, files: Sequence[LiveFile]) -> pa.Table | None:
        given = giving_sql(feedback, files)
        [[rows]] = connection.execute(f"SELECT count(*) FROM ({given})").fetchall()
        if rows > self._most:
            return None
        return connection.sql(given_properties_sql(given, ("organization", "request_id"))).to_arrow_table()


def lay_out(connection: duckdb.DuckDBPyConnection, given: pa.Table, organization: Organization | None) -> None:
    """Makes it the table that views of this connection join, with the rows of one organization, or of all."""
    connection.register(_ROWS, given)
    try:
        own = "true" if organization is None else "organization = ?"
        connection.execute(f"CREATE TEMP TABLE {GIVEN} AS SELECT * FROM {_ROWS} WHERE {own}", [organization] if organization else None)
    finally:
        connection.unregister(_ROWS)
