"""Attempts upon the query port, each a statement of `tests/cases/sandbox`: none gets out of the rows that are one's own.

Files, network, settings and writing are refused. Of other organizations nothing is told: whatever is asked, the answer is the same to the
last byte, errors too, whether the others' rows say one thing or another. What would take all time and memory is ended, and others are
answered meanwhile.
"""

import asyncio
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from eventlog.admission import Admission
from eventlog.keys import Scope
from ingress.secrets import presented
from storage.api import create_api
from storage.query import Limits
from tests.fakes.keyring import READER, WRITER, key, keyring
from tests.fakes.query_port import on_a_port
from tests.fakes.small_lake import SmallLake

pytestmark = pytest.mark.timeout(600)

CASES = Path(__file__).parents[1] / "cases" / "sandbox"
LIMITS = Limits(timeout_s=60, at_once=2, threads=1, memory_bytes=256 << 20)
AT = "2026-03-01T12:00:00Z"
MINE, THEIRS = READER, WRITER
SIGNS = ("CANARY", "424242", "7777.7")


def attempts(name: str) -> Mapping[str, str]:
    """What each tries, and its statement: paragraphs, of which the first line is a comment."""
    paragraphs = (CASES / f"{name}.sql").read_text().strip().split("\n\n")
    named = dict(paragraph.removeprefix("-- ").split("\n", 1) for paragraph in paragraphs)
    assert len(named) == len(paragraphs), "two attempts of one name"
    return named


OUT = attempts("files") | attempts("beyond")
AMONG = attempts("tenants")
EXHAUSTING = attempts("exhausting")
GENERATED = {
    "two thousand parentheses": "SELECT " + "(" * 2_000 + "1" + ")" * 2_000,
    "a thousand subqueries": "SELECT * FROM " + "(SELECT * FROM " * 1_000 + "calls" + ")" * 1_000,
    "twenty thousand additions": "SELECT " + "1+" * 20_000 + "1",
    "twenty thousand negations": "SELECT " + "NOT " * 20_000 + "true",
    "a thousand CASEs": "SELECT " + "CASE WHEN true THEN " * 1_000 + "1" + " END" * 1_000,
    "six thousand columns": "SELECT " + ", ".join(f"{number} AS c{number}" for number in range(6_000)),
    "a thousand joins": "SELECT count(*) FROM calls " + "CROSS JOIN calls " * 1_000,
    "a thousand WITHs that double": "WITH t0 AS (SELECT 1 AS x)"
    + "".join(f", t{n} AS (SELECT a.x FROM t{n - 1} a, t{n - 1} b)" for n in range(1, 40))
    + " SELECT count(*) FROM t39",
    "a literal of all characters there may be": "SELECT '" + "x" * 99_000 + "'",
    "one more than that": "SELECT '" + "x" * 100_000 + "'",
    "a list of five thousand": "SELECT call_id IN (" + ",".join(["1"] * 5_000) + ") FROM calls",
    "a number of fifty thousand digits": "SELECT " + "9" * 50_000,
    "lists in lists": "SELECT " + "[" * 1_000 + "1" + "]" * 1_000,
}


def test_there_are_many() -> None:
    assert len({*OUT.values(), *AMONG.values(), *EXHAUSTING.values(), *GENERATED.values()}) > 350


def facts(organization: str, number: int, *, sign: str, tokens: int = 7, cost: str = "0.01") -> dict[str, Any]:
    return {
        "call_id": f"{sign}-call-{number}",
        "request_id": f"{sign}-request-{number}",
        "created_at": AT,
        "organization": organization,
        "user_id": f"{sign}-user",
        "model": f"{sign}-model",
        "prompt_tokens": tokens,
        "cost_usd": cost,
        "properties": {"secret": f"{sign}-value", f"{sign}-key": "x"},
    }


def judged(organization: str, request: str, *, sign: str, rating: bool) -> dict[str, Any]:
    given: dict[str, Any] = {"feedback_id": f"{sign}-{request}", "request_id": request, "given_at": AT, "organization": organization}
    return given | {"rating": rating, "scores": {"secret": 1.0, sign: 2.0}, "properties": {"later": sign}, "comment": f"{sign}-comment"}


def told(organization: str, call: str, *, sign: str) -> dict[str, Any]:
    side = {"call_id": call, "created_at": AT, "organization": organization, "side": "request", "size": 20}
    return side | {"text": json.dumps({"say": f"{sign}-prompt"})}


def lake_of(folder: Path, *, sign: str, tokens: int, cost: str) -> SmallLake:
    """My rows, and in the same files another's, which bear its sign."""
    lake = SmallLake(folder)
    shared = {"call_id": "shared", "request_id": "shared"}
    mine, others = facts("acme", 1, sign="mine"), facts("other", 1, sign=sign, tokens=tokens, cost=cost)
    lake.add("calls", mine, others, mine | shared, facts("other", 2, sign=sign, tokens=tokens, cost=cost) | shared)
    lake.add("amendments", *(each | {"revision": 1, "amended_at": AT} for each in (mine, others)))
    lake.add(
        "bodies", told("acme", "mine-call-1", sign="mine"), told("other", f"{sign}-call-1", sign=sign), told("other", "shared", sign=sign)
    )
    lake.add(
        "feedback",
        judged("acme", "mine-request-1", sign="mine", rating=True),
        judged("other", f"{sign}-request-1", sign=sign, rating=False),
        judged("other", "shared", sign=sign, rating=sign.endswith("A")),
    )
    dead = {"at": AT, "topic": "llm.calls.v1", "partition": 0, "offset": 1, "index": 0}
    lake.add(
        "dead_letters",
        *(dead | {"organization": org, "reason": f"{s}-reason", "error": s} for org, s in (("acme", "mine"), ("other", sign))),
    )
    return lake


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> tuple[SmallLake, SmallLake]:
    """Two that differ in nothing but what others' rows say."""
    folder = tmp_path_factory.mktemp("lakes")
    return (
        lake_of(folder / "a", sign="CANARY-AAAA", tokens=424242, cost="7777.7"),
        lake_of(folder / "b", sign="CANARY-ZZZZZZZZ", tokens=1, cost="0.000001"),
    )


@pytest.fixture(scope="module")
def trap() -> Iterator[socket.socket]:
    """Listens, and nobody may come."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def app_of(lake: SmallLake, limits: Limits = LIMITS) -> Any:
    admission = Admission(known=lambda: keyring(key(MINE, Scope.READ), key(THEIRS, Scope.READ, organization="other")))
    return create_api(lake.config, limits=limits, admission=admission, presented=presented)


async def asked(port: httpx.AsyncClient, sql: str, form: str = "json", by: str = MINE) -> httpx.Response:
    return await port.post("/v1/query", json={"sql": sql, "format": form}, headers={"authorization": f"Bearer {by}"})


def same(answer: httpx.Response) -> tuple[int, Any]:
    """What must not depend on others. Of rows that nobody ordered, each."""
    said = answer.json()
    if "rows" in said:
        said = said | {"rows": sorted(said["rows"], key=json.dumps), "elapsed_ms": None}
    return answer.status_code, said


def files_of(lake: SmallLake) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_mtime_ns) for path in lake.folder.rglob("*")}


async def test_nothing_gets_out(lakes: tuple[SmallLake, SmallLake], trap: socket.socket) -> None:
    lake = lakes[0]
    before = files_of(lake)
    async with on_a_port(app_of(lake)) as port:
        for name, sql in OUT.items():
            answer = await asked(port, sql.replace("{lake}", str(lake.folder)).replace("{port}", str(trap.getsockname()[1])))
            assert answer.status_code == 400, (name, answer.text)
            error = answer.json()["error"]
            assert error["code"] in {"not_read_only", "forbidden_function", "unknown_table", "invalid_sql"}, (name, error)
            assert not any(sign in answer.text for sign in SIGNS), (name, error)
        assert (await asked(port, "SELECT count(*) FROM calls")).json()["rows"] == [[2]]
    assert files_of(lake) == before
    with pytest.raises(BlockingIOError):
        trap.accept()


async def test_nothing_is_told_of_others(lakes: tuple[SmallLake, SmallLake]) -> None:
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(on_a_port(app_of(lake))) for lake in lakes]
        others = (await asked(first, "SELECT * FROM calls", by=THEIRS)).text
        assert all(sign in others for sign in SIGNS)  # they are there, for those whose they are
        for name, sql in AMONG.items():
            one, other = await asyncio.gather(asked(first, sql), asked(second, sql))
            assert one.status_code in {200, 400}, (name, one.text)
            assert same(one) == same(other), name
            assert not any(sign in one.text for sign in SIGNS if sign not in sql), (name, one.text)


async def test_huge_statements_are_refused_or_answered(lakes: tuple[SmallLake, SmallLake]) -> None:
    async with on_a_port(app_of(lakes[0])) as port:
        for name, sql in GENERATED.items():
            answer = await asked(port, sql)
            assert answer.status_code in {200, 400, 422, 504}, (name, answer.text[:500])
            assert (await asked(port, "SELECT 1")).status_code == 200, name


async def test_nothing_takes_all_time_or_memory_and_others_are_answered_meanwhile(lakes: tuple[SmallLake, SmallLake]) -> None:
    limits = Limits(timeout_s=1.0, at_once=3, memory_bytes=192 << 20, result_bytes=8 << 20, waiting=100)
    async with on_a_port(app_of(lakes[0], limits)) as port:
        two, refused = asyncio.Semaphore(2), list[str]()

        async def attempt(name: str, sql: str) -> None:
            async with two:
                answer = await asked(port, sql, "csv")
            if answer.status_code == 200:  # it kept within the limits after all
                assert len(answer.content) <= limits.result_bytes, name
                return
            assert (answer.status_code, answer.json()["error"]["code"]) in ENDED, (name, answer.text[:500])
            refused.append(name)

        attempting = asyncio.gather(*(attempt(name, sql) for name, sql in EXHAUSTING.items()))
        while not attempting.done():
            answer = await asked(port, "SELECT 42", by=THEIRS)
            if answer.status_code != 504:  # its time, too, is short, and this machine may be busy
                assert answer.json().get("rows") == [[42]], answer.text
            assert (await port.get("/healthz")).status_code == 200
            assert (await port.get("/readyz")).status_code in {200, 504}
            await asyncio.sleep(0.1)
        await attempting
        assert len(refused) > len(EXHAUSTING) * 3 // 4
        while (answer := await asked(port, "SELECT count(*) FROM calls", by=THEIRS)).status_code == 504:
            pass
        assert answer.json()["rows"] == [[2]]


ENDED = {(504, "query_timeout"), (422, "result_too_large"), (400, "invalid_sql")}
