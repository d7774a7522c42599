"""The log, opened by a command: an absent one is told at once instead of waited for, and none is made unless that is meant."""

import contextlib
from collections.abc import AsyncIterator, Collection

from eventlog.embedded import EmbeddedLog
from eventlog.kafka import KafkaLog
from eventlog.kafka_errors import TopicsUnfit
from eventlog.port import Log, LogCorrupt, LogUnavailable, OffsetOutOfRange
from eventlog.topics import NEEDED
from runtime.cluster import kafka_config
from runtime.settings import Misconfigured, Settings


@contextlib.asynccontextmanager
async def observed(chosen: Settings, *, makes: bool = False, topics: Collection[str] = NEEDED) -> AsyncIterator[Log]:
    """Raises Misconfigured for whatever an operator can change, also for what goes wrong while it is open.

    `makes`: the log of one machine is made where there is none, by a command that comes before the first start. `topics`: those that
    there must be.
    """
    try:
        log = await _open(chosen, makes, topics)
        try:
            yield log
        finally:
            await log.close()
    except (LogUnavailable, LogCorrupt, OffsetOutOfRange, TopicsUnfit) as error:
        raise Misconfigured(str(error)) from error


async def _open(chosen: Settings, makes: bool, topics: Collection[str]) -> EmbeddedLog | KafkaLog:
    if chosen.on_kafka:
        return await KafkaLog.open(kafka_config(chosen), needs=topics)
    if not makes and not chosen.log_dir.is_dir():
        raise Misconfigured(
            f"There is no event log in {chosen.log_dir}. Start `heliograph up`, or name its folder with --data-dir (HELIOGRAPH_DATA_DIR)."
        )
    return await EmbeddedLog.open(chosen.log_dir, fsync=chosen.ingress().strict)
