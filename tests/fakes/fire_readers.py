"""Readers that ask all the time, and what must hold of every answer, whoever was killed a moment ago."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from deltalake import DeltaTable
from msgspec import Struct

from eventlog.events import Organization
from storage.engine import LAKE_MOVED
from storage.lake import Lake
from storage.query import Limits, Questions
from storage.refusal import Refused
from storage.sources import Source
from tests.fakes import fire_rows as rows
from tests.fakes.fire_field import Field
from tests.fakes.fire_rows import Flags, Numbers

LIMITS = Limits(rows=10_000_000, threads=1)
CALLS = """
    SELECT CAST(call_id[6:] AS BIGINT) AS number, revision, CAST(cost_usd * 1000000 AS BIGINT) AS cost,
        CAST(user_id[6:] AS BIGINT) AS person, organization, rating IS NOT NULL AS rated FROM calls"""
HISTORY = """
    SELECT CAST(c.call_id[6:] AS BIGINT) AS number, c.revision, count(h.revision) AS figures, min(h.revision) AS first,
        max(h.revision) AS last, arg_max(h.cost_usd, h.revision) IS NOT DISTINCT FROM any_value(c.cost_usd) AS stands
    FROM calls c LEFT JOIN cost_history h USING (call_id) WHERE c.revision > 0 GROUP BY ALL"""


class Broken(Exception):
    """What must always hold does not."""


class Held:
    """Snapshots that stay what they were, so that several questions can be asked of the same rows."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources

    def sources(self, tables: Sequence[str]) -> dict[str, Source]:
        return {table: self._sources[table] for table in tables}


class Seen(Struct):
    """What earlier answers told: the least that later ones have to tell."""

    costs: Numbers = np.full(1, -1, np.int64)
    """By number; -1 of what nobody saw."""
    revisions: Numbers = np.full(1, -1, np.int64)

    def room(self, numbers: Numbers) -> None:
        missing = int(numbers.max(initial=0)) + 1 - len(self.costs)
        if missing > 0:
            more = np.full(missing, -1, np.int64)
            self.costs, self.revisions = np.concatenate([self.costs, more]), np.concatenate([self.revisions, more])


class Reader:
    """One reader."""

    def __init__(self, field: Field, chance: random.Random) -> None:
        self._field, self._chance = field, chance
        self._lake = Lake(field.config)
        self._questions = Questions(self._lake, LIMITS)
        self._live = self._questions.snapshots
        self._seen = Seen()

    def turn(self) -> int:
        """Asks once of everything; how many questions that was."""
        with self._may_move():
            self._facts()
            self._everything()
        with self._may_move():
            self._one_organization(self._chance.randrange(3))
        with self._may_move():
            self._history()
        with self._may_move():
            self._shapes(self._chance.randrange(3 * rows.USERS))
        return 8

    def close(self) -> None:
        self._questions.close()

    @contextmanager
    def _may_move(self) -> Iterator[None]:
        """A question is refused, and a file missing, only where somebody wanted files to be removed at once."""
        began = time.monotonic()
        try:
            yield
        except (Refused, OSError) as error:
            moved = error.refusal is LAKE_MOVED if isinstance(error, Refused) else True
            if not (moved and self._field.pulled_since(began)):
                raise
            self._field.tell("refused, as files were removed at once")

    def _facts(self) -> None:
        """Read as any reader of Delta would. No fact is there twice, and each is in the next answer."""
        table: DeltaTable = self._lake.table("calls")
        numbers = rows.numbers_of(table.to_pyarrow_table(columns=["call_id"]).column("call_id").to_pylist())
        self._unique("facts", numbers)
        self._seen.room(numbers)
        new = numbers[self._seen.costs[numbers] < 0]
        self._seen.costs[new] = self._seen.revisions[new] = 0

    def _everything(self) -> None:
        found = self._ask(CALLS)
        numbers, costs, revisions = (found[name] for name in ("number", "cost", "revision"))
        self._unique("calls", numbers)
        self._are_what_they_must_be(found)
        self._none_missing("calls", numbers, np.arange(len(self._seen.costs)))
        self._seen.room(numbers)
        self._none_went_back(numbers, costs, revisions)
        self._seen.costs[numbers], self._seen.revisions[numbers] = costs, revisions

    def _one_organization(self, place: int) -> None:
        found = self._ask(CALLS, Organization(rows.ORGANIZATIONS[place]))
        numbers = found["number"]
        self._unique("calls of one organization", numbers)
        self._are_what_they_must_be(found)
        self._hold("only its own", rows.organizations(numbers) == place, numbers)
        every = np.arange(len(self._seen.costs))
        self._none_missing("calls of one organization", numbers, every[rows.organizations(every) == place])

    def _history(self) -> None:
        """Each figure that ever stood is told, once, and the last of them stands."""
        found = self._ask(HISTORY)
        numbers, revisions = found["number"], found["revision"]
        sound = (found["figures"] == revisions + 1) & (found["first"] == 0) & (found["last"] == revisions) & found["stands"]
        self._hold("cost_history", sound | self._may_be_gone(numbers), numbers)

    def _shapes(self, user: int) -> None:
        """The same rows counted and added up in several ways, over the same snapshots."""
        self._questions.snapshots = self._live
        sources = self._live.sources(["amendments", "calls", "feedback", "rollups", "superseded"])
        self._questions.snapshots = Held(sources)  # type: ignore[assignment]
        try:
            whose, sums = f"user_id = '{rows.user_name(user)}'", "count(*) AS count, coalesce(sum(cost_usd), 0)::DOUBLE AS cost"
            few = self._rows(f"SELECT *, organization AS whose FROM calls WHERE {whose} ORDER BY created_at DESC LIMIT 4000")
            plain = self._rows(f"SELECT call_id, cost_usd FROM calls WHERE {whose}")
            once = self._rows(f"SELECT call_id, cost_usd, rating, random() FROM calls WHERE {whose}")
            totals = self._rows(f"SELECT {sums} FROM calls WHERE {whose}")
            grouped = self._rows(f"SELECT organization, {sums} FROM calls GROUP BY 1")
            whole = self._rows(f"SELECT {sums} FROM calls")
        finally:
            self._questions.snapshots = self._live
        answers = [sorted((row["call_id"], row["cost_usd"]) for row in each) for each in (few, plain, once)]
        if len(plain) < 4000 and answers[0] != answers[1]:
            raise Broken(f"few calls differ from a plain scan: {len(few)}, {len(plain)}")
        if answers[1] != answers[2] or totals[0]["count"] != len(plain):
            raise Broken(f"ways to ask differ: {len(plain)}, {len(once)}, {totals}")
        if sum(row["count"] for row in grouped) != whole[0]["count"]:
            raise Broken(f"groups do not add up: {grouped}, {whole}")
        if abs(sum(row["cost"] for row in grouped) - whole[0]["cost"]) > 1e-6:
            raise Broken(f"costs of groups do not add up: {grouped}, {whole}")

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        return self._questions.ask(sql).table.to_pylist()

    def _ask(self, sql: str, organization: Organization | None = None) -> dict[str, Any]:
        table = self._questions.ask(sql, organization=organization).table
        return {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}

    def _are_what_they_must_be(self, found: Mapping[str, Any]) -> None:
        numbers, costs, level = found["number"], found["cost"], self._field.level()
        base = rows.bases(numbers)
        self._hold("a cost is of one price", (costs % base == 0) & (costs >= base) & (costs <= base * (1 + level)), numbers)
        self._hold("whose call it is", found["person"] == rows.users(numbers), numbers)
        names = np.array(rows.ORGANIZATIONS, object)[rows.organizations(numbers)]
        self._hold("which organization's", found["organization"] == names, numbers)

    def _unique(self, what: str, numbers: Numbers) -> None:
        if len(np.unique(numbers)) != len(numbers):
            values, counts = np.unique(numbers, return_counts=True)
            raise Broken(f"{what}: there twice: {values[counts > 1][:20].tolist()} of {len(numbers)}")

    def _none_missing(self, what: str, numbers: Numbers, among: Numbers) -> None:
        there = np.zeros(max(len(self._seen.costs), int(numbers.max(initial=0)) + 1), bool)
        there[numbers] = True
        lost = among[(self._seen.costs[among] >= 0) & ~there[among]]
        self._hold(f"{what}: none that was there is missing", self._may_be_gone(lost), lost)

    def _none_went_back(self, numbers: Numbers, costs: Numbers, revisions: Numbers) -> None:
        forward = (costs >= self._seen.costs[numbers]) & (revisions >= self._seen.revisions[numbers])
        self._hold("no price of before stands again", forward | self._may_be_gone(numbers), numbers)

    def _may_be_gone(self, numbers: Numbers) -> Flags:
        erased = np.array([int(each.value[5:]) for each in self._field.subjects()], np.int64)
        gone: Flags = np.isin(rows.users(numbers), erased) | rows.kept_too_long(numbers)
        return gone

    def _hold(self, what: str, holds: Any, numbers: Numbers) -> None:
        if not np.all(holds):
            wrong = numbers[~np.asarray(holds, bool)]
            raise Broken(f"{what}: not so of {len(wrong)} of {len(numbers)}: {wrong[:20].tolist()}")


def read(field: Field) -> None:
    reader = Reader(field, random.Random())
    while True:
        field.tell("questions", count=reader.turn())
