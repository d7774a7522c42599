"""What the log of one machine may forget: what all who read it have read, and nothing else."""

from datetime import timedelta
from pathlib import Path

import pytest

from eventlog.control import Saying, say
from eventlog.embedded import EmbeddedLog
from eventlog.topics import CALLS, PROMPTS, RESPONSES
from runtime.pipeline import READS, retain
from tests.eventlog.contract import message

PLACE = (RESPONSES.name, 0)


async def first_left(log: EmbeddedLog) -> int:
    """The first offset that a reader who never read is given."""
    reader = await log.reader([RESPONSES.name], group="nobody")
    records = await reader.poll(max_bytes=1, timeout=timedelta(0))
    await reader.close()
    return records[0].offset if records else (await log.ends(RESPONSES.name))[0]


@pytest.mark.parametrize(
    ("stands", "first"),
    [
        ({"calls": 8, "sink": 5}, 5),
        ({"calls": 3, "sink": 8}, 3),
        ({"calls": 10, "sink": 10}, 10),
        ({"calls": 8}, 0),
        ({}, 0),
    ],
    ids=str,
)
async def test_nothing_goes_that_a_reader_has_yet_to_read(tmp_path: Path, stands: dict[str, int], first: int) -> None:
    log = await EmbeddedLog.open(tmp_path)
    writer = await log.writer()
    await writer.append([message(number) for number in range(10)])
    for group, offset in stands.items():
        await (await log.reader([RESPONSES.name], group=group)).commit({PLACE: offset})
    await retain(log, max_age=timedelta(0), max_bytes=1, now=4e9)
    assert await first_left(log) == first
    await writer.append([message(number) for number in range(10, 20)])
    await retain(log, max_age=timedelta(0), max_bytes=1, now=4e9)
    assert await first_left(log) == first
    await log.close()


async def test_of_prompts_what_was_replaced_goes_and_the_rest_stays(tmp_path: Path) -> None:
    log = await EmbeddedLog.open(tmp_path)
    said = [("version/one", b"a body"), ("version/two", b"its body"), ("version/one", b"a mark")]
    await say(log, [Saying(0, key, value) for key, value in said], PROMPTS.name)
    await retain(log, max_age=timedelta(0), max_bytes=1, now=4e9)
    reader = await log.reader([PROMPTS.name], group="nobody")
    records = await reader.poll(max_bytes=9999, timeout=timedelta(0))
    assert [(each.message.key, each.message.value) for each in records] == [("version/two", b"its body"), ("version/one", b"a mark")]
    await log.close()


def test_every_reader_of_a_topic_counts() -> None:
    assert [group for group, topics in READS.items() if CALLS.name in topics] == ["feedback", "sink"]
