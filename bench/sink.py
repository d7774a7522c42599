"""`python -m bench.sink`: rows the sink brings to rest each second on one core, and what a call takes in the lake."""

import tempfile
import time
from datetime import date
from pathlib import Path
from random import Random
from uuid import UUID

from msgspec import structs

from eventlog.codec import BatchId, Message, Record, message_of
from eventlog.events import CallId, CallPriced, RequestId
from eventlog.topics import CALLS
from storage.config import StorageConfig
from storage.lake import Lake
from storage.maintenance import maintain
from storage.memory import frugal
from storage.sink import Sink
from tests.fakes.facts import priced
from tests.fakes.memory_log import MemoryLog

ROWS, BATCH = 200_000, 50


def varied(number: int, chance: Random) -> CallPriced:
    """A call whose ids, times and counts differ as they do in life."""
    event = priced(number)
    milliseconds = int(event.call.created_at.timestamp() * 1000)
    call_id = str(UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | chance.getrandbits(62) | chance.getrandbits(12) << 64))
    call = structs.replace(event.call, call_id=CallId(call_id), request_id=RequestId(call_id), user_id=f"user-{chance.randrange(500)}")
    return structs.replace(event, call=call, latency_ms=chance.lognormvariate(6, 0.7), ttft_ms=chance.lognormvariate(5, 0.5))


def messages() -> list[Message]:
    chance = Random(1)
    return [
        message_of(CALLS, 0, BatchId("bench", start // BATCH + 1), [varied(start + more, chance) for more in range(BATCH)])
        for start in range(0, ROWS, BATCH)
    ]


def main() -> None:
    frugal()
    made = messages()
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.open(StorageConfig(lake_uri=folder))
        sink = Sink(MemoryLog(), lake, lake.config, assemble=lambda event: None, clock=time.time)
        began = time.process_time()
        for offset, message in enumerate(made):
            sink.accept([Record(message=message, offset=offset, appended_at=0.0)])
            sink.commit_due()
        sink.commit_due(everything=True)
        spent = time.process_time() - began
        maintain(lake, date(2030, 1, 1))
        size = sum(Path(file).stat().st_size for file in lake.files("calls"))
    print(f"sink: {ROWS / spent:,.0f} rows/s of processor time (asked: 30,000)")
    print(f"lake: {size / ROWS:.0f} bytes a call without bodies (asked: 100)")


if __name__ == "__main__":
    main()
