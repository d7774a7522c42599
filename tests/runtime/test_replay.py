"""Replays: of a span of time, and of dead letters."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from eventlog.codec import BatchId, Message, encode_event, message_of, message_of_lines
from eventlog.events import DeadLetter, FeedbackGiven, Organization, RequestId
from eventlog.letters import PAYLOAD_LIMIT
from eventlog.replay import Replays
from eventlog.topics import DEAD_LETTERS, FEEDBACK, REQUESTS, RESPONSES
from processors.inline import run_calls
from processors.pricing.rates import RateBook
from runtime.replaying import Finder, Letter, Selection, Sent, replay_calls, replay_letters
from storage.lake import Lake
from tests.fakes.facts import BEGAN, completed, facts, received
from tests.fakes.memory_log import MemoryLog
from tests.fakes.stack import stack as running
from tests.storage.test_amendments import asked
from tests.storage.test_sink import append, drain, lake_at

PLACE = (RESPONSES.name, 0)
CALLS_SQL = "SELECT call_id, revision FROM calls ORDER BY 1"


def call_number(number: int, **more: object) -> bytes:
    call = facts(number, **more)
    return encode_event(replace(completed(number), call=call, completed_at=call.created_at + timedelta(seconds=1)))


def message(sequence: int, *lines: bytes, epoch: str = "a", topic: str = RESPONSES.name) -> Message:
    return message_of_lines(topic, 0, BatchId(epoch, sequence), lines)


async def run_pipeline(log: MemoryLog, lake: Lake) -> None:
    stop = asyncio.Event()
    stop.set()
    await run_calls(log, RateBook.bundled(), stop=stop, clock=lambda: 1.8e9)
    await drain(log, lake)


def silent(done: int, whole: int) -> None:
    assert 0 <= done <= whole


async def again(log: MemoryLog, selection: Selection, revision: int = 1) -> Sent:
    return await replay_calls(log, selection, Replays(f"replay{revision}", revision), f"{revision}", silent)


async def letters_again(log: MemoryLog, lake: Lake, revision: int = 1, **chosen: str) -> Sent:
    return await replay_letters(log, lake, Selection(**chosen), Replays(f"replay{revision}", revision), f"{revision}", silent)  # type: ignore[arg-type]


async def test_a_span_is_replaced_and_nothing_doubled(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    await append(log, message_of(REQUESTS, 0, BatchId("a", 1), [received(1)]))
    await append(log, message(1, *map(call_number, range(4))), message(2, call_number(4, organization="other"), b"no event"))
    await append(log, message(2, call_number(4, organization="other")))
    await run_pipeline(log, lake)
    span = {"since": BEGAN + timedelta(milliseconds=1), "before": BEGAN + timedelta(milliseconds=3)}
    assert await again(log, Selection(**span)) == Sent(calls=2)
    await run_pipeline(log, lake)
    assert asked(lake, CALLS_SQL) == [(f"call-{number:06d}", int(number in {1, 2})) for number in range(5)]
    assert asked(lake, "SELECT count(*), count(DISTINCT (call_id, side)) FROM bodies") == [(6, 6)]
    assert await again(log, Selection(organization="other"), 2) == Sent(calls=1)
    assert await again(log, Selection(since=BEGAN), 3) == Sent(calls=5), "a repeat and a replay are not replayed"
    await run_pipeline(log, lake)
    assert {revision for _, revision in asked(lake, CALLS_SQL)} == {3}
    assert asked(lake, "SELECT count(*) FROM dead_letters") == [(1,)]


async def test_what_would_be_a_dead_letter_again_is_left(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    poison = encode_event(completed(1, text="no json"))
    await append(log, message(1, call_number(0), poison))
    await run_pipeline(log, lake)
    assert asked(lake, "SELECT call_id, reason FROM dead_letters") == [("call-000001", "body_unreadable")]
    assert await again(log, Selection()) == Sent(calls=1, unreadable=1)
    await run_pipeline(log, lake)
    assert asked(lake, CALLS_SQL) == [("call-000000", 1), ("call-000001", 0)]
    assert asked(lake, "SELECT count(*) FROM dead_letters") == [(1,)]


async def test_events_that_come_meanwhile_are_not_waited_for(tmp_path: Path) -> None:
    log = MemoryLog()
    await append(log, message(1, call_number(0)))

    def meanwhile(done: int, whole: int) -> None:
        assert (done, whole) == (1, 1)

    sent = await replay_calls(log, Selection(), Replays("r", 1), "r", meanwhile)
    assert sent == Sent(calls=1)
    assert [len(log.messages(*PLACE)), log.messages(*PLACE)[1].headers] == [2, (("replay", "1"),)]


def letter(offset: int, payload: str | None, *, topic: str = RESPONSES.name, index: int = 0, reason: str = "undecodable") -> DeadLetter:
    return DeadLetter(topic=topic, partition=0, offset=offset, index=index, reason=reason, error="then unknown", at=BEGAN, payload=payload)


async def with_letters(log: MemoryLog, *letters: DeadLetter) -> None:
    await append(log, message_of(DEAD_LETTERS, 0, BatchId("letters", 1), letters))


async def test_letters_that_can_be_understood_now_become_rows_with_bodies(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    await with_letters(log, letter(90, call_number(1).decode()), letter(91, '{"call": 7}'), letter(92, None))
    await run_pipeline(log, lake)
    assert await letters_again(log, lake) == Sent(calls=1, unreadable=1, gone=1)
    await run_pipeline(log, lake)
    assert asked(lake, CALLS_SQL) == [("call-000001", 1)]
    assert asked(lake, "SELECT call_id, side FROM bodies") == [("call-000001", "response")]
    assert await letters_again(log, lake, 2) == Sent(calls=1, unreadable=1, gone=1)
    await run_pipeline(log, lake)
    assert asked(lake, CALLS_SQL) == [("call-000001", 2)]
    assert asked(lake, "SELECT count(*) FROM bodies") == [(1,)], "they are there by now"


async def test_what_the_lake_cut_off_is_fetched_from_the_log(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    call = facts(5)
    large = encode_event(replace(completed(5, text='{"id": "' + "x" * PAYLOAD_LIMIT + '"}'), call=call))
    await append(log, message(1, b"{}", large, epoch="b"))
    cut = large[:PAYLOAD_LIMIT].decode()
    await with_letters(log, letter(0, cut, index=1), letter(0, cut, index=0), letter(0, cut, index=7), letter(5, cut, index=1))
    await run_pipeline(log, lake)
    assert await letters_again(log, lake, reason="undecodable") == Sent(calls=1, unreadable=1, gone=3)
    assert log.messages(*PLACE)[-1].value == large + b"\n"


async def test_an_event_is_found_beside_live_traffic() -> None:
    log = MemoryLog()
    large = encode_event(completed(5, text='{"id": "' + "x" * PAYLOAD_LIMIT + '"}'))
    await append(log, message(1, large, epoch="b"))
    finder = Finder(log, "f")
    told = letter(0, large[:PAYLOAD_LIMIT].decode())
    cut = Letter(**{name: getattr(told, name) for name in Letter.__struct_fields__})
    assert await finder.find(cut) == large
    for number in range(3):
        await append(
            log, message_of(REQUESTS, 0, BatchId("live", number + 1), [received(number)]), message(number + 1, b"{}", epoch="live")
        )
        assert await finder.find(cut) == large
    await finder.close()


async def test_requests_and_feedback_come_to_rest_once(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    given = FeedbackGiven(
        feedback_id="f-1",
        request_id=RequestId("call-000001"),
        organization=Organization("default"),
        given_at=BEGAN,
        rating=True,
    )
    await with_letters(
        log,
        letter(0, encode_event(received(1)).decode(), topic=REQUESTS.name),
        letter(0, encode_event(given).decode(), topic=FEEDBACK.name),
        letter(0, "{}", topic="heliograph.unknown.v1"),
    )
    await run_pipeline(log, lake)
    assert await letters_again(log, lake) == Sent(others=2)
    await run_pipeline(log, lake)
    assert await letters_again(log, lake, 2) == Sent(at_rest=2)
    assert asked(lake, "SELECT call_id, side FROM bodies") == [("call-000001", "request")]
    assert asked(lake, "SELECT feedback_id FROM feedback") == [("f-1",)]


@pytest.fixture(scope="module")
def commanded(tmp_path_factory: pytest.TempPathFactory) -> list[subprocess.CompletedProcess[str]]:
    """The commands as people give them, beside a running `up`, and what the lake says afterwards."""
    with running(tmp_path_factory.mktemp("replayed")) as made:
        for _ in range(3):
            httpx.post(f"{made.proxy}/v1/chat/completions", json={"model": "gpt-4o-mini", "messages": []}, timeout=20)
        made.rows("true", count=3)
        place = ["--data-dir", str(made.data_dir)]
        asking = ["query", "SELECT revision, count(*) FROM calls GROUP BY 1", "--format", "csv", "--api-port", str(made.api_port)]
        wanted = [["replay", "--from", "2020-01-01", *place], ["replay", "--dead-letters", *place], asking]
        listing = ["dead-letters", "--api-port", str(made.api_port), "--format", "csv"]
        wanted += [listing, [*listing, "--each"], [*listing, "--reason", "it's"], listing[:-2]]
        command = [sys.executable, "-m", "runtime.cli"]
        return [
            subprocess.run([*command, *each], env=made.environment(), capture_output=True, text=True, timeout=60, check=False)
            for each in wanted
        ]


def test_the_command_replays_beside_a_running_pipeline(commanded: list[subprocess.CompletedProcess[str]]) -> None:
    span, letters, revisions, *listed = commanded
    assert span.stdout.splitlines() == ["3 calls sent through again; their rows get revision 1.", "3 rows are at rest."], span.stderr
    assert letters.stdout.splitlines() == ["Nothing to replay."], letters.stderr
    assert revisions.stdout.split() == ["revision,count_star()", "1,3"]
    assert [each.stdout.splitlines() for each in listed] == [
        ["reason,topic,letters,first,last,last error"],
        ["at,topic,partition,offset,index,reason,call_id,error"],
        ["at,topic,partition,offset,index,reason,call_id,error"],
        ["No dead letters."],
    ]
