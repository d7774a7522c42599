"""Questions of strangers, asked of processes that may be ended: no question outlasts its limits, none harms another."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

import storage.forking
import storage.pool
from eventlog.events import Organization
from storage.asked import PIECE_BYTES, Asked, CallAsked, SqlAsked, decoded, encoded, pieces
from storage.forking import Child, ForkServer
from storage.forkserver import TITLE
from storage.formats import Format
from storage.handle import of_hunger
from storage.pool import Pool, too_heavy
from storage.query import Limits
from storage.refusal import Refusal, Refused
from tests.fakes.small_lake import SmallLake, calls
from tests.fakes.soak import lives

TIGHT = Limits(timeout_s=1.0, at_once=1, memory_bytes=256 << 20)
ENDLESS = "SELECT count(*) FROM range(10_000_000_000) a, range(1_000_000) b"
DEAF = "SELECT levenshtein(repeat('a', 1_000_000), repeat('b', 1_000_000))"
"""Nothing inside the engine stops it; it would run for hours."""

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def world(tmp_path: Path) -> SmallLake:
    return SmallLake(tmp_path / "lake")


@asynccontextmanager
async def asking(world: SmallLake, limits: Limits = TIGHT) -> AsyncIterator[Pool]:
    pool = Pool(world.config, limits)
    pool.warm()
    try:
        yield pool
    finally:
        await pool.close()
    assert answerers() == servers() == []


def answerers() -> list[psutil.Process]:
    return [child for server in servers() for child in server.children()]


def servers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "storage.forkserver" in child.cmdline()]


async def rows(pool: Pool, sql: str, **more: Any) -> list[list[Any]]:
    answer = await pool.ask(SqlAsked(sql=sql), **more)
    found: list[list[Any]] = json.loads(answer.body)["rows"]
    return found


async def refusal_of(pool: Pool, sql: str) -> Refusal:
    with pytest.raises(Refused) as caught:
        await pool.ask(SqlAsked(sql=sql))
    return caught.value.refusal


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


def _doubling(first: str, step: str, count: int) -> str:
    steps = [f"t0 AS (SELECT {first} AS x)"] + [f"t{number} AS (SELECT {step} AS x FROM t{number - 1})" for number in range(1, count)]
    return f"WITH {', '.join(steps)} SELECT len(x) FROM t{count - 1}"


HOSTILE = {
    "a comparison of two long texts": DEAF,
    "another": "SELECT damerau_levenshtein(repeat('a', 100000), repeat('b', 100000))",
    "a text that doubles": _doubling("repeat('x', 1000)", "x || x", 25),
    "a list that doubles": _doubling("range(1000)", "x || x", 25),
    "a long list": "SELECT len(range(300_000_000))",
    "a wide number": "SELECT length(printf('%1000000000d', 1))",
    "a wide text": "SELECT length(lpad('', 1000000000, 'x'))",
    "a hash of much": "SELECT md5(repeat('x', 2_000_000_000))",
    "lists side by side": "SELECT len(list_zip(range(50_000_000), range(50_000_000), range(50_000_000)))",
    "a list that is made by a lambda": "SELECT list_sum(list_transform(range(100_000_000), lambda x: x * x))",
    "a join without end": ENDLESS,
}


@pytest.mark.parametrize("sql", HOSTILE.values(), ids=HOSTILE)
async def test_no_question_outlasts_its_limits(world: SmallLake, sql: str) -> None:
    async with asking(world) as pool, asyncio.timeout(30):
        refusal = await refusal_of(pool, sql)
        assert (refusal.code, refusal.status) in {("query_timeout", 504), ("result_too_large", 422)}
        assert await rows(pool, "SELECT 1") == [[1]]


async def test_many_questions_together_may_not_take_more_memory_than_there_is_for_all(world: SmallLake) -> None:
    greedy = "SELECT count(DISTINCT range::VARCHAR || repeat('x', 100)) FROM range(2_000_000)"
    async with asking(world, Limits(timeout_s=30, at_once=4, memory_bytes=256 << 20)) as pool:
        ended = await asyncio.gather(*(refusal_of(pool, greedy) for _ in range(4)))
        assert {refusal.code for refusal in ended} == {"result_too_large"}


async def test_others_are_answered_meanwhile(world: SmallLake) -> None:
    world.add("calls", *calls(3))
    async with asking(world, Limits(timeout_s=60, at_once=2)) as pool:
        hostile = asyncio.create_task(pool.ask(SqlAsked(sql=DEAF)))
        await until(lambda: bool(pool._asked))
        for _ in range(5):
            assert await rows(pool, "SELECT count(*) FROM calls") == [[3]]
        assert not hostile.done()
        hostile.cancel()


async def test_the_query_port_s_own_questions_are_answered_whatever_is_asked(world: SmallLake) -> None:
    world.add("calls", *calls(1))
    async with asking(world, Limits(timeout_s=60, at_once=2)) as pool:
        hostile = [asyncio.create_task(pool.ask(SqlAsked(sql=DEAF))) for _ in range(5)]
        await until(lambda: len(pool._asked) == 2)
        assert await rows(pool, "SELECT count(*) FROM calls", own=True) == [[1]]
        found = await pool.ask(CallAsked(key="c0"), own=True)
        assert json.loads(found.body)["call_id"] == "c0"
        assert not any(task.done() for task in hostile)
        for task in hostile:
            task.cancel()


async def test_questions_that_wait_are_bounded(world: SmallLake) -> None:
    async with asking(world, Limits(at_once=1, waiting=1)) as pool:
        answers = await asyncio.gather(*(rows(pool, "SELECT 1") for _ in range(3)), return_exceptions=True)
        assert [answer for answer in answers if answer == [[1]]] == [[[1]], [[1]]]
        (refused,) = [answer for answer in answers if isinstance(answer, Refused)]
        assert (refused.refusal.code, refused.refusal.status) == ("too_many_questions", 503)


async def test_several_at_once_each_get_their_own_answer(world: SmallLake) -> None:
    async with asking(world, Limits(at_once=3)) as pool:
        answers = await asyncio.gather(*(rows(pool, f"SELECT {number}, repeat('x', 400_000)") for number in range(20)))
        assert [answer[0][0] for answer in answers] == list(range(20))


class TestWhoeverLeaves:
    @pytest.mark.parametrize("sql", [ENDLESS, DEAF], ids=["can be stopped", "cannot be stopped"])
    async def test_leaves_the_place_to_the_next(self, world: SmallLake, sql: str) -> None:
        async with asking(world, Limits(timeout_s=600, at_once=1)) as pool:
            hostile = asyncio.create_task(pool.ask(SqlAsked(sql=sql)))
            await until(lambda: bool(pool._asked))
            await asyncio.sleep(0.2)
            hostile.cancel()
            assert await rows(pool, "SELECT 1") == [[1]]
            assert hostile.cancelled()

    async def test_a_question_that_can_be_stopped_keeps_its_process(self, world: SmallLake) -> None:
        async with asking(world, Limits(timeout_s=600, at_once=1)) as pool:
            await rows(pool, "SELECT 1")
            hostile = asyncio.create_task(pool.ask(SqlAsked(sql=ENDLESS)))
            await until(lambda: bool(pool._asked))
            (asked,) = pool._asked
            await asyncio.sleep(0.2)
            hostile.cancel()
            await asyncio.wait([hostile])
            assert asked.alive

    async def test_too_late_stops_no_other_question(self, world: SmallLake) -> None:
        async with asking(world, Limits(timeout_s=600, at_once=1)) as pool:
            await rows(pool, "SELECT 1")
            other = asyncio.create_task(rows(pool, "SELECT sum(range) FROM range(300_000_000)"))
            await until(lambda: bool(pool._asked))
            (answerer,) = pool._asked
            await asyncio.sleep(0.2)
            answerer.stop(answerer.number - 1)
            assert await other == [[44999999850000000]]

    async def test_before_its_turn_was_never_there(self, world: SmallLake) -> None:
        async with asking(world, Limits(timeout_s=600, at_once=1)) as pool:
            hostile = asyncio.create_task(pool.ask(SqlAsked(sql=ENDLESS)))
            waiting = asyncio.create_task(rows(pool, "SELECT 1"))
            await until(lambda: bool(pool._asked))
            waiting.cancel()
            hostile.cancel()
            assert await rows(pool, "SELECT 2") == [[2]]


class TestDeaths:
    @pytest.mark.parametrize(
        ("number", "code"),
        [(signal.SIGKILL, "result_too_large"), (signal.SIGABRT, "result_too_large"), (signal.SIGSEGV, "question_failed")],
    )
    async def test_in_the_midst_of_a_question(self, world: SmallLake, number: signal.Signals, code: str) -> None:
        async with asking(world, Limits(timeout_s=600, at_once=1)) as pool:
            asked = asyncio.create_task(refusal_of(pool, ENDLESS))
            await until(lambda: bool(pool._asked))
            await asyncio.sleep(0.2)
            (answerer,) = pool._asked
            with capture_logs() as logged:
                assert answerer._process is not None
                os.kill(answerer._process.pid, number)
                refusal = await asked
            assert (refusal.code, refusal.status) == (code, 422)
            assert [line["event"] for line in logged] == ["answerer_died"]
            assert await rows(pool, "SELECT 1") == [[1]]

    async def test_while_nothing_is_asked(self, world: SmallLake) -> None:
        async with asking(world) as pool:
            await rows(pool, "SELECT 1")
            for child in answerers():
                child.kill()
            await until(lambda: not any(answerer.alive for answerer in pool._everyone))
            assert await rows(pool, "SELECT 1") == [[1]]

    async def test_of_the_fork_server_are_survived(self, world: SmallLake) -> None:
        async with asking(world, Limits(timeout_s=600)) as pool:
            asked = asyncio.create_task(rows(pool, "SELECT sum(range) FROM range(50_000_000)"))
            await until(lambda: bool(pool._asked))
            before = answerers()
            for server in servers():
                server.kill()
            assert await asked == [[1249999975000000]]
            for child in before:
                child.kill()
            await until(lambda: not any(answerer.alive for answerer in pool._everyone))
            assert await rows(pool, "SELECT 1") == [[1]]
            assert len(servers()) == 1

    async def test_of_the_asker_end_every_answerer(self, world: SmallLake) -> None:
        program = (
            "import asyncio, sys; from storage.config import StorageConfig; from storage.pool import Pool;"
            "from storage.query import Limits; from storage.asked import SqlAsked\n"
            "async def main():\n"
            "    pool = Pool(StorageConfig(lake_uri=sys.argv[1]), Limits(timeout_s=600))\n"
            "    await pool.ask(SqlAsked(sql='SELECT 1'))\n"
            "    asked = asyncio.create_task(pool.ask(SqlAsked(sql=sys.argv[2])))\n"
            "    await asyncio.sleep(0.5); print('asked', flush=True); await asked\n"
            "asyncio.run(main())"
        )
        command = [sys.executable, "-c", program, str(world.folder), DEAF]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as asker:
            assert asker.stdout is not None
            assert await asyncio.to_thread(asker.stdout.readline) == b"asked\n"
            family = psutil.Process(asker.pid).children(recursive=True)
            assert [child.name() for child in family[1:]] == [TITLE, TITLE]
            asker.kill()
        await until(lambda: not any(lives(child) for child in family))


async def test_closing_ends_what_is_asked_and_what_waits(world: SmallLake) -> None:
    pool = Pool(world.config, Limits(timeout_s=600, at_once=1))
    asked = [asyncio.create_task(refusal_of(pool, sql)) for sql in (DEAF, "SELECT 1")]
    own = asyncio.create_task(pool.ask(SqlAsked(sql="SELECT 1"), own=True))
    await until(lambda: bool(pool._asked))
    await own
    await pool.close()
    assert [refusal.code for refusal in await asyncio.gather(*asked)] == ["stopping", "stopping"]
    assert answerers() == []


async def test_ending_waits_for_what_ends_soon_and_for_nothing_else(world: SmallLake) -> None:
    pool = Pool(world.config, Limits(timeout_s=600))
    await rows(pool, "SELECT 1")
    soon = asyncio.create_task(rows(pool, "SELECT sum(range) FROM range(50_000_000)"))
    await until(lambda: bool(pool._asked))
    await pool.end(60)
    assert await soon == [[1249999975000000]]
    assert (await refusal_of(pool, "SELECT 1")).code == "stopping"

    pool = Pool(world.config, Limits(timeout_s=600))
    never = asyncio.create_task(refusal_of(pool, DEAF))
    await until(lambda: bool(pool._asked))
    await pool.end(0.1)
    assert (await never).code == "stopping"
    assert answerers() == []


async def test_closing_at_once_after_the_start(world: SmallLake) -> None:
    pool = Pool(world.config, TIGHT)
    pool.warm()
    await pool.close()
    await pool.close()  # as where a server that ends has waited for questions before
    assert answerers() == servers() == []


class Stopping(ForkServer):
    """What it forks stands still from its first moment on."""

    def fork(self, line: socket.socket, patience_s: float) -> Child:
        child = super().fork(line, patience_s)
        os.kill(child.pid, signal.SIGSTOP)
        return child


class Deaf(ForkServer):
    """Stands still itself."""

    def _forked(self, line: int, end: int, patience_s: float) -> tuple[Any, int]:
        found = super()._forked(line, end, 60.0)
        found[0]._process.send_signal(signal.SIGSTOP)
        return super()._forked(line, end, patience_s)


@pytest.mark.parametrize("server", [Stopping, Deaf])
async def test_processes_that_do_not_start_are_not_waited_for_for_ever(
    world: SmallLake, monkeypatch: pytest.MonkeyPatch, server: type[ForkServer]
) -> None:
    monkeypatch.setattr(storage.pool, "ForkServer", server)
    async with asking(world, Limits(start_s=0.3)) as pool:
        with capture_logs() as logged:
            refusal = await refusal_of(pool, "SELECT 1")
        assert (refusal.code, refusal.status) == ("not_answering", 503)
        assert {line["event"] for line in logged} <= {"answerer_not_started"}


async def test_a_server_that_dies_once_it_has_forked_is_not_asked_for_the_same_again(
    world: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The orphan would hold the line of another, and what tells of its end."""
    mark = tmp_path / "died"
    program = (
        f"import os, pathlib; import storage.forkserver as server; mark, forked = pathlib.Path({str(mark)!r}), server._forked\n"
        "def dying(*given):\n    told = forked(*given)\n    if not mark.exists():\n        mark.touch(); os._exit(1)\n    return told\n"
        "server._forked = dying; server.main()"
    )
    monkeypatch.setattr(storage.forking, "COMMAND", [sys.executable, "-c", program])
    async with asyncio.timeout(60):
        pool = Pool(world.config, Limits())
        with capture_logs() as logged:
            assert await rows(pool, "SELECT 1") == [[1]]
        await pool.close()
    assert "answerer_not_started" in {line["event"] for line in logged}


async def test_ending_one_waits_for_no_server(world: SmallLake) -> None:
    """Which stands still, while another thread waits to hear from it how that one ended."""
    server = ForkServer()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = server.fork(theirs, 60.0)
        assert server._server is not None
        server._server._process.send_signal(signal.SIGSTOP)
        child.kill()
        waiting = asyncio.create_task(asyncio.to_thread(child.wait))
        await until(lambda: not child.alive)
        await asyncio.sleep(0.1)
        child.kill()
        assert not waiting.done()
        server._server._process.send_signal(signal.SIGCONT)
        assert await waiting == -signal.SIGKILL
    server.close()


async def test_what_cannot_be_forked_is_told(world: SmallLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the system has no process left."""
    program = (
        "import os, socket, sys; import storage.forkserver as server\nserver.os.fork = lambda: (_ for _ in ()).throw(OSError(11, ''))\n"
    )
    monkeypatch.setattr(storage.forking, "COMMAND", [sys.executable, "-c", program + "server.main()"])
    async with asking(world, Limits(start_s=5)) as pool:
        with capture_logs() as logged:
            refusal = await refusal_of(pool, "SELECT 1")
    assert refusal.code == "not_answering"
    assert "Resource temporarily unavailable" in str(logged)


async def test_an_answer_of_many_pieces_comes_whole(world: SmallLake) -> None:
    async with asking(world, Limits()) as pool:
        assert await rows(pool, "SELECT repeat('0123456789', 300_000)") == [["0123456789" * 300_000]]
        empty = await pool.ask(SqlAsked(sql="FROM range(0)", form=Format.CSV))
        assert empty.body == b"range\n"


@pytest.mark.parametrize("form", [Format.JSON, Format.CSV])
async def test_an_answer_may_be_a_quarter_of_the_memory(world: SmallLake, form: Format) -> None:
    async with asking(world, Limits(timeout_s=60)) as pool:
        wide = "SELECT repeat('a', 10_000) || range FROM range({})"
        answer = await pool.ask(SqlAsked(sql=wide.format(25_000), form=form))
        assert 250_000_000 < sum(map(len, answer.pieces)) < 256 << 20
        with pytest.raises(Refused) as caught:
            await pool.ask(SqlAsked(sql=wide.format(28_000), form=form))
        assert "larger than 256 MiB" in caught.value.refusal.message


async def test_the_asker_holds_an_answer_once(world: SmallLake) -> None:
    async with asking(world, Limits(timeout_s=60)) as pool:
        await rows(pool, "SELECT 1")
        tracemalloc.start()
        try:
            answer = await pool.ask(SqlAsked(sql="SELECT repeat('a', 10_000) FROM range(3_000)"))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert sum(map(len, answer.pieces)) < peak < 1.2 * sum(map(len, answer.pieces))


async def test_an_answer_may_not_grow_as_it_is_written(world: SmallLake) -> None:
    async with asking(world, Limits(result_bytes=1 << 20)) as pool:
        refusal = await refusal_of(pool, "SELECT repeat(chr(1), 900_000)")  # as JSON, each is six characters
        assert refusal.code == "result_too_large"


async def test_what_an_answerer_logs_is_logged_here(world: SmallLake) -> None:
    async with asking(world, Limits()) as pool:
        await rows(pool, "SELECT 1")
        world.spoil("calls")
        with capture_logs() as logged:
            assert (await refusal_of(pool, "FROM calls")).code == "lake_unreadable"
        assert ("lake_unreadable", "error", "calls") in [(line["event"], line["log_level"], line["table"]) for line in logged]


QUESTIONS: dict[str, Asked] = {
    "plain": SqlAsked(sql="SELECT 1"),
    "in order": SqlAsked(sql="SELECT ?", parameters=[1, 1.5, "x", None, True, [1], {"a": 1}]),
    "by name": SqlAsked(sql="SELECT $a", parameters={"a": 10**60}, form=Format.PARQUET, organization=Organization("o")),
    "a lone surrogate": SqlAsked(sql="SELECT '\ud800'", parameters=["\udfff"]),
    "a call": CallAsked(key="ü'\n", organization=Organization("o")),
}


@pytest.mark.parametrize("asked", QUESTIONS.values(), ids=QUESTIONS)
def test_a_question_arrives_as_it_was_asked(asked: Asked) -> None:
    assert decoded(encoded(asked)) == asked


@pytest.mark.parametrize("length", [0, 1, PIECE_BYTES, PIECE_BYTES + 1])
def test_pieces_are_the_whole(length: int) -> None:
    body = os.urandom(length)
    cut = list(pieces(body))
    assert b"".join(cut) == body
    assert all(0 < len(piece) <= PIECE_BYTES for piece in cut)


WEIGHTS: dict[str, tuple[dict[str, int], str | None]] = {
    "nobody": ({}, None),
    "all together at the limit": ({"a": 50, "b": 50}, None),
    "all together beyond it: the largest": ({"a": 50, "b": 51}, "b"),
    "one alone beyond it": ({"a": 101}, "a"),
}


@pytest.mark.parametrize(("taken", "ended"), WEIGHTS.values(), ids=WEIGHTS)
def test_who_is_too_heavy(taken: dict[str, int], ended: str | None) -> None:
    assert too_heavy(taken, 100) == ended


ENDS: dict[str, tuple[int, int, bool]] = {
    "the system ended it": (-signal.SIGKILL, 0, True),
    "native code was refused memory": (-signal.SIGABRT, 0, True),
    "Python was": (1, 0, True),
    "native code broke down near the limit": (-signal.SIGSEGV, 51, True),
    "native code broke down far from it": (-signal.SIGSEGV, 50, False),
    "a fault of ours": (2, 99, False),
}


@pytest.mark.parametrize(("exit_code", "most_taken", "hungry"), ENDS.values(), ids=ENDS)
def test_what_an_end_is_told_as(exit_code: int, most_taken: int, hungry: bool) -> None:
    assert of_hunger(exit_code, most_taken, 100) is hungry


def test_an_answerer_lets_others_go_first(world: SmallLake) -> None:
    async def niceness() -> int:
        async with asking(world) as pool:
            await rows(pool, "SELECT 1")
            return max(child.nice() for child in answerers())

    assert asyncio.run(niceness()) > psutil.Process().nice()
