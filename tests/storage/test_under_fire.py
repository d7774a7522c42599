"""Sinks, upkeep, retention, erasures, repricing and readers on one lake at once, killed outright: every answer is right all the time.

The short form of `python -m bench.upkeep_under_fire`.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deltalake import write_deltalake

from eventlog.embedded import EmbeddedLog
from storage.lake import Lake
from tests.fakes import fire_rows as rows
from tests.fakes.fire_field import Field
from tests.fakes.fire_readers import Broken, Reader
from tests.fakes.fire_roles import drained_to_the_end, reprice_once
from tests.fakes.under_fire import fought

ROLES = ("sink-1", "sink-2", "upkeep", "repricer", "eraser", "reader-1")
BATCHES = 16
DONE = {"questions": 8, "upkeep rounds": 2, "repriced rows": 1, "erasures": 1}
"""What is to be done at the least."""


@pytest.mark.timeout(400)  # of a machine that is busy with other things
async def test_every_row_is_accounted_for(tmp_path: Path) -> None:
    def goes_on(batches: int, field: Field) -> bool:
        return batches < BATCHES or bool(Counter(DONE) - field.counts())

    account = await fought(tmp_path, seed=7, goes_on=goes_on, roles=ROLES, kill_rate=0.1)
    assert account.wrong == []
    assert account.kills.total() > 0
    assert account.rows > 0


def said_twice(lake: Lake) -> None:
    table = lake.table("calls")
    write_deltalake(table, table.to_pyarrow_table().slice(0, 1), mode="append")


FAULTS: list[tuple[str, Callable[[Lake], object]]] = [
    ("cost_history", lambda lake: lake.table("calls").delete("call_id = 'call-000007'")),  # what it cost first; its amendment stands
    ("no price of before stands again", lambda lake: lake.table("amendments").delete("call_id = 'call-000005'")),
    ("none that was there is missing", lambda lake: lake.table("amendments").delete()),
    ("which organization's", lambda lake: lake.table("calls").update({"organization": "'globex'"}, predicate="call_id = 'call-000009'")),
    ("there twice", said_twice),
]
"""What a reader says, and of what. Each is noticed before those above it."""


async def test_a_reader_notices_what_is_wrong(tmp_path: Path) -> None:
    field = Field(tmp_path, datetime.fromtimestamp(time.time(), UTC).date())
    log = await EmbeddedLog.open(field.log, partitions=rows.PARTITIONS)
    for batch in range(2):
        await (await log.writer()).append(rows.messages(batch, field.today))
    await log.close()
    await drained_to_the_end(field)
    field.raise_level(1)
    reprice_once(field)
    with closing(Reader(field, random.Random(1))) as reader:
        reader.turn()
        for told, fault in FAULTS:
            fault(Lake(field.config))
            with pytest.raises(Broken, match=told):
                reader.turn()
