"""Batches that a client numbers: known again however often they come, and acknowledged by the log alone."""

import json
from typing import Any

import pytest

from eventlog.codec import BatchId, decode
from eventlog.events import RequestReceived, ResponseCompleted
from eventlog.port import LogUnavailable, MessageTooLarge
from eventlog.topics import REQUESTS, RESPONSES, partition_of
from ingress.async_log_batch import NUMBERED_BYTES
from ingress.numbered import Numbered, TooMuch, append_numbered
from tests.fakes.keyring import STRANGER, WRITER
from tests.fakes.memory_log import MemoryLog
from tests.ingress.test_async_log import KEYS_OF, World, but

EPOCH = "0af7651916cd43dd8448eb211c80319c"
LINES = b"\n".join(json.dumps(but("provider", name)).encode() for name in ("openai", "anthropic", "groq"))


@pytest.fixture
def world() -> World:
    return World()


async def sent(world: World, lines: bytes = LINES, batch: str = f"{EPOCH}/7", **headers: str) -> Any:
    return await world.post("/v1/log/batch", lines, heliograph_batch=batch, **headers)


async def test_the_same_batch_has_the_same_calls_however_often_it_comes(world: World) -> None:
    first, again = await sent(world), await sent(world)
    assert (first.status_code, first.json()) == (200, again.json())
    ids = [completed.call.call_id for _, completed in world.written]
    assert ids[:3] == ids[3:]
    assert len(set(ids)) == 3
    assert world.batches == [BatchId.of_client(KEYS_OF, EPOCH, 7)] * 2


async def test_another_number_has_other_calls(world: World) -> None:
    await sent(world)
    await sent(world, batch=f"{EPOCH}/8")
    assert len({completed.call.call_id for _, completed in world.written}) == 6


async def test_it_is_taken_whole_or_sent_again_as_it_was(world: World) -> None:
    world.durable = False
    answer = await sent(world)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "accepted" not in answer.json()


async def test_a_line_that_is_wrong_is_no_other_lines_concern(world: World) -> None:
    untimed = json.dumps(but("timing", ...)).encode()
    answer = await sent(world, b"{\n" + LINES + b"\n" + untimed)
    assert answer.status_code == 200
    assert [each["line"] for each in answer.json()["accepted"]] == [2, 3, 4]
    assert [(each["line"], each["field"]) for each in answer.json()["refused"]] == [(1, "body"), (5, "timing")]


async def test_a_batch_of_nothing_but_wrong_lines_is_answered(world: World) -> None:
    told = (await sent(world, b"{")).json()
    assert (told["accepted"], [each["line"] for each in told["refused"]]) == ([], [1])
    assert world.batches == []


NO_NUMBERS = [" ", "7", EPOCH, f"{EPOCH}/0", f"{EPOCH}/-1", f"{EPOCH}/1.5", f"{EPOCH[1:]}/1", f"{EPOCH}/{10**15}", "x" * 33]


@pytest.mark.parametrize("said", NO_NUMBERS)
async def test_a_number_that_is_none_is_refused(world: World, said: str) -> None:
    answer = await sent(world, batch=said)
    assert (answer.status_code, answer.json()["field"]) == (400, "Heliograph-Batch")


async def test_who_may_not_log_may_not_number(world: World) -> None:
    assert (await sent(world, helicone_auth=STRANGER)).status_code == 401
    assert (await sent(world, authorization=f"Bearer {STRANGER}")).status_code == 401
    assert (await sent(world, authorization=f"Bearer {WRITER}")).status_code == 200


async def test_what_is_too_large_is_to_be_sent_in_parts(world: World) -> None:
    answer = await sent(world, LINES + b"\n" + b" " * NUMBERED_BYTES)
    assert (answer.status_code, answer.json()["field"]) == (413, "body")


def test_nobody_can_name_the_epoch_of_another() -> None:
    one, other = (BatchId.of_client(organization, EPOCH, 1) for organization in ("acme", "other"))
    assert one != other
    assert EPOCH not in str(one)
    assert one.sparse
    assert not BatchId(EPOCH, 1).sparse
    assert BatchId.parse(str(one)) == one


# To the log


async def events(world: World) -> list[RequestReceived | ResponseCompleted]:
    await sent(world)
    return [event for call in world.written for event in call]


async def test_it_is_on_the_partitions_of_its_requests_under_its_number(world: World) -> None:
    log, batch, made = MemoryLog(), BatchId.of_client("acme", EPOCH, 3), await events(world)
    writer = await log.writer()
    assert await append_numbered(writer.append, batch, made, 1, 1 << 20)
    for topic, kind in ((REQUESTS, RequestReceived), (RESPONSES, ResponseCompleted)):
        [message] = log.messages(topic.name)
        assert message.batch_id == batch
        assert [event.call.call_id for event in decode(kind, message)[0].events] == [
            event.call.call_id for event in made if isinstance(event, kind)
        ]


async def test_every_event_goes_where_its_request_belongs(world: World) -> None:
    placed: list[Any] = []

    async def append(messages: Any) -> None:
        placed.extend(messages)

    made = await events(world)
    assert await append_numbered(append, BatchId("e", 1), made, {REQUESTS.name: 64, RESPONSES.name: 8}, 1 << 20)
    for topic, count in ((REQUESTS.name, 64), (RESPONSES.name, 8)):
        meant = {partition_of(event.call.organization, event.call.request_id, count) for event in made}
        assert {message.partition for message in placed if message.topic == topic} == meant


async def test_a_body_that_no_topic_takes_is_given_up(world: World) -> None:
    log, made = MemoryLog(), await events(world)
    assert await append_numbered((await log.writer()).append, BatchId("e", 1), made, 1, 200)
    assert b"hello" not in log.messages(REQUESTS.name)[0].value


@pytest.mark.parametrize(("error", "comes_to"), [(LogUnavailable("away"), False), (MessageTooLarge("large", None), TooMuch)])  # type: ignore[arg-type]
async def test_a_log_that_does_not_take_it(world: World, error: Exception, comes_to: Any) -> None:
    async def append(_: Any) -> None:
        raise error

    if comes_to is False:
        assert not await append_numbered(append, BatchId("e", 1), await events(world), 1, 1 << 20)
    else:
        with pytest.raises(comes_to):
            await append_numbered(append, BatchId("e", 1), await events(world), 1, 1 << 20)


def test_a_line_has_its_own_place_in_what_is_drawn() -> None:
    numbered = Numbered(EPOCH, 1)
    drawn = {numbered.chance("a", 1), numbered.chance("a", 2), numbered.chance("b", 1), Numbered(EPOCH, 2).chance("a", 1)}
    assert len(drawn) == 4
    assert all(len(each) == 19 and int(each, 16) >= 0 for each in drawn)
