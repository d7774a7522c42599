"""A lake under fire: sinks, upkeep, vacuum, retention, erasures, repricing and readers at once, killed outright at random moments.

Each role is a process of its own. Readers check what must hold at every moment; in the end every row is accounted for.
"""

import asyncio
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from msgspec import Struct
from msgspec import field as default

from eventlog.embedded import EmbeddedLog
from storage.lake import Lake
from storage.query import run_query
from tests.fakes import fire_rows as rows
from tests.fakes.fire_field import Field
from tests.fakes.fire_readers import HISTORY, LIMITS
from tests.fakes.fire_roles import ROLES, erase_one, play, reprice_once, settle_once, upkeep_once
from tests.fakes.fire_rows import Numbers

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.fakes.fire_roles"])


class Account(Struct):
    """What was done, and what is wrong with the rows in the end."""

    counts: Counter[str] = default(default_factory=Counter)
    kills: Counter[str] = default(default_factory=Counter)
    calls: int = 0
    """That were written to the log."""
    rows: int = 0
    """That are at rest."""
    wrong: list[str] = default(default_factory=list)

    def line(self) -> str:
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        counts = "; ".join(f"{name}: {count}" for name, count in sorted(self.counts.items()))
        told = "\n".join(self.wrong) or "every row is accounted for"
        return f"kills: {sum(self.kills.values())} ({kills})\ncalls: {self.calls}, at rest: {self.rows}\n{counts}\n{told}"


class Battle:
    """Processes on one field."""

    def __init__(self, field: Field, roles: tuple[str, ...], chance: random.Random) -> None:
        self._field, self._chance = field, chance
        self._running: dict[str, BaseProcess] = {role: self._started(role) for role in roles}
        self.account = Account()

    def _started(self, role: str) -> BaseProcess:
        process = _processes.Process(target=play, args=(role, self._field), daemon=True)
        process.start()
        return process

    def kill(self, role: str | None = None) -> None:
        """SIGKILL, whatever it is doing, and another takes its place."""
        role = self._chance.choice(list(self._running)) if role is None else role
        self._end(role)
        self.account.kills[role] += 1
        self._running[role] = self._started(role)

    def look(self) -> None:
        """Who ended by itself is told of, and started again: a vacuum has nothing to do without a grace."""
        for role, process in self._running.items():
            if not process.is_alive():
                self._running[role] = self._started(role)

    def end(self) -> None:
        for role in self._running:
            self._end(role)

    def _end(self, role: str) -> None:
        process = self._running[role]
        process.kill()
        process.join()
        if role == "eraser":
            self._field.tell("pulled")  # if it did


async def fought(
    folder: Path,
    *,
    seed: int,
    goes_on: Callable[[int, Field], bool],
    grace_s: float | None = None,
    roles: tuple[str, ...] = tuple(ROLES),
    kill_rate: float = 0.05,
) -> Account:
    """Batch upon batch is written, and after some of them somebody is killed, as long as it `goes_on`: it is told how many there were."""
    chance = random.Random(seed)
    today = (datetime.fromtimestamp(time.time(), UTC) - timedelta(hours=2)).date()
    field = Field(folder, today, grace_s)
    Lake.open(field.config)
    log = await EmbeddedLog.open(field.log, partitions=rows.PARTITIONS)
    battle, batch = Battle(field, roles, chance), 0
    try:
        writer = await log.writer()
        while not field.broken() and goes_on(batch, field):
            said = rows.messages(batch, today)
            await writer.append(said if chance.random() < 0.8 else [*said, *said])  # now and then somebody says it twice
            batch += 1
            await asyncio.sleep(chance.uniform(0.05, 0.35))
            if chance.random() < kill_rate:
                await asyncio.to_thread(battle.kill)
            if batch % 20 == 0:
                await asyncio.to_thread(battle.look)
    finally:
        await asyncio.to_thread(battle.end)
        await log.close()
    account = battle.account
    account.calls, account.wrong = batch * rows.BATCH, field.broken()
    if not account.wrong:
        await asyncio.to_thread(_drain, field)
        count(field, account)
    account.counts = field.counts()
    return account


def _drain(field: Field) -> None:
    """All comes to rest, is erased, expires, is priced and settled."""
    process = _processes.Process(target=play, args=("drained", field))
    process.start()
    process.join()
    for subject in field.subjects():
        erase_one(field, subject)
    reprice_once(field)
    upkeep_once(field, sweeps=True)


def count(field: Field, account: Account) -> None:
    """The account of every row of every table, before days are settled and after."""
    for when in ("before settling", "settled"):
        found = run_query(Lake(field.config), _ROWS, limits=LIMITS).table
        account.rows = found.num_rows
        account.wrong += [f"{when}: {each}" for each in _wrong(field, account.calls, found.to_pydict())]
        account.wrong += [f"{when}: {each}" for each in _beside(field, account.calls)]
        settle_once(field)


_ROWS = """
    SELECT CAST(call_id[6:] AS BIGINT) AS number, revision, CAST(cost_usd * 1000000 AS BIGINT) AS cost, rating FROM calls ORDER BY 1"""


def expected(field: Field, calls: int) -> Numbers:
    numbers = np.arange(calls)
    erased = [int(each.value[5:]) for each in field.subjects()]
    return numbers[~np.isin(rows.users(numbers), erased) & ~rows.kept_too_long(numbers)]


def _wrong(field: Field, calls: int, found: dict[str, list[int]]) -> list[str]:
    wrong, due = [], expected(field, calls)
    numbers = np.array(found["number"], np.int64)
    if numbers.tolist() != due.tolist():
        wrong.append(f"calls: {_difference(numbers, due)}")
        return wrong
    costs = np.array(found["cost"], np.int64)
    if not np.all(costs == rows.bases(numbers) * (1 + field.level())):
        wrong.append("a call does not cost what it must")
    ratings = [bool(number % 2) if number % rows.RATED_EACH == 0 else None for number in numbers.tolist()]
    if found["rating"] != ratings:
        wrong.append("ratings differ")
    for row in run_query(Lake(field.config), HISTORY, limits=LIMITS).table.to_pylist():
        if not (row["figures"] == row["revision"] + 1 and row["first"] == 0 and row["last"] == row["revision"] and row["stands"]):
            wrong.append(f"cost_history: {row}")
            break
    return wrong


def _beside(field: Field, calls: int) -> list[str]:
    """What the tables hold themselves, not only what the views show: each once, and nothing of what is to be gone."""
    lake, due, wrong = Lake(field.config), expected(field, calls), []
    allowed = set(due.tolist())
    for name, column, each in (("calls", "call_id", 1), ("bodies", "call_id", rows.SAID_EACH), ("feedback", "request_id", rows.RATED_EACH)):
        ids = lake.table(name).to_pyarrow_table(columns=[column]).column(column).to_pylist()
        there = np.sort(rows.numbers_of(ids))
        if name == "feedback":  # by itself a judgement names nobody: one that comes after its call was erased is not known
            there = there[~np.isin(rows.users(there), np.setdiff1d(rows.users(there), rows.users(due)))]
        must = due[due % each == 0]
        if there.tolist() != must.tolist():
            wrong.append(f"{name}: {_difference(there, must)}")
    for name in ("amendments", "superseded"):
        left = set(rows.numbers_of(lake.table(name).to_pyarrow_table(columns=["call_id"]).column("call_id").to_pylist()).tolist())
        if left - allowed:
            wrong.append(f"{name}: of calls that are gone: {sorted(left - allowed)[:20]} of {len(left - allowed)}")
    return wrong


def _difference(found: Numbers, due: Numbers) -> str:
    values, counts = np.unique(found, return_counts=True)
    missing, more = np.setdiff1d(due, found), np.setdiff1d(found, due)
    told = (("missing", missing), ("too many", more), ("twice", values[counts > 1]))
    return ", ".join(f"{name} {len(which)} {which[:10].tolist()}" for name, which in told)
