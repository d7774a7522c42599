"""Connections on which the tables that people ask are laid out already, kept from one question to the next.

Laying them out takes as long as a small question: the engine reads what each file holds. A connection is good for the same organization and
the same tables, as long as none of them has a newer commit.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

import duckdb

from eventlog.events import Organization
from storage.engine import Engine, deadline
from storage.given import lay_out
from storage.needed import PROPERTIES
from storage.sources import Source
from storage.views import VIEWS, view_sql

KEPT = 8
"""Connections that wait for another question."""

Laid = tuple[Organization | None, frozenset[str], frozenset[str], bool, tuple[tuple[str, int | None, tuple[str, ...]], ...]]
"""Whose rows, which tables, what of feedback is in them, whether that was put together before, of which commits; and of which files, where
not of all.
"""


class LaidOut:
    """May be used by several threads; a connection is one question's at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._idle: OrderedDict[Laid, duckdb.DuckDBPyConnection] = OrderedDict()
        self._lock = Lock()

    @contextmanager
    def connection(
        self, sources: Mapping[str, Source], names: frozenset[str], organization: Organization | None, needs: frozenset[str], seconds: float
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """One that has the views `names` of these snapshots, for at most so long. Raises Refused. After an error it is not kept."""
        held = (
            (table, source.version, tuple(file.path for file in source.files) if source.partial else ())
            for table, source in sources.items()
        )
        given = sources["feedback"].given if PROPERTIES in needs else None
        laid = (organization, names, needs, given is not None, tuple(sorted(held)))
        with self._lock:
            kept = self._idle.pop(laid, None)
        connection = kept or self._engine.open()
        try:
            with deadline(connection, seconds):
                if kept is None:
                    if given is not None:
                        lay_out(connection, given, organization)
                    for name in names:
                        connection.execute(f"CREATE TEMP VIEW {name} AS {view_sql(VIEWS[name], sources, organization, needs)}")
                yield connection
        except BaseException:
            self._engine.end(connection)
            raise
        self._keep(laid, connection)

    def close(self) -> None:
        """Ends those that wait."""
        with self._lock:
            idle, self._idle = self._idle, OrderedDict()
        for each in idle.values():
            self._engine.end(each)

    def _keep(self, laid: Laid, connection: duckdb.DuckDBPyConnection) -> None:
        with self._lock:
            before = self._idle.pop(laid, None)
            self._idle[laid] = connection
            over = [self._idle.popitem(last=False)[1]] if len(self._idle) > KEPT else []
        for each in [*over, *([before] if before is not None else [])]:
            self._engine.end(each)
