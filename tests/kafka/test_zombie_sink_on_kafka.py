"""A sink that stands still until the group gives its partitions away, and then wakes up with rows it has not written yet."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventlog.kafka import KafkaLog
from eventlog.kafka_config import KafkaConfig
from tests.fakes import kafka
from tests.fakes.facts import calls_message
from tests.fakes.proxy import environment_of
from tests.fakes.sinking import lake_at, once, rows


class SinkProcess:
    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        folder.mkdir()
        self._log = folder / "sink.log"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "runtime.roles", "sink"],
                env=inherited | env | {"HELIOGRAPH_DATA_DIR": str(folder)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    async def says(self, text: str) -> None:
        async with asyncio.timeout(30):
            while text not in self._log.read_text():
                assert self.process.poll() is None, self._log.read_text()
                await asyncio.sleep(0.05)


@contextmanager
def sink(folder: Path, config: KafkaConfig, lake: Path, *, flush_s: float) -> Iterator[SinkProcess]:
    """A running one; ended in order."""
    more = {"HELIOGRAPH_LAKE_URI": str(lake), "HELIOGRAPH_SINK__FLUSH_SECONDS": str(flush_s)}
    process = SinkProcess(folder, environment_of(config, **more))
    try:
        yield process
    finally:
        process.process.send_signal(signal.SIGCONT)
        process.process.terminate()
        assert process.process.wait(30) == 0, process._log.read_text()


async def test_a_sink_that_slept_past_its_session_cannot_commit_and_no_row_is_doubled_or_lost(broker: str, tmp_path: Path) -> None:
    config = kafka.config(broker)
    await kafka.create_topics(config)
    lake = lake_at(tmp_path / "lake")
    log = await KafkaLog.open(config)
    writer = await log.writer()

    async def append(first: int, last: int) -> None:
        for number in range(first, last):
            await writer.append([calls_message(f"e{number % 3}", number // 3 + 1, [number], partition=number % 3)])

    try:
        await append(0, 9)
        with sink(tmp_path / "one", config, tmp_path / "lake", flush_s=2.0) as zombie:
            await rows(lake, 9)
            await append(9, 18)
            await asyncio.sleep(1)  # it has read them, and waits with their commit
            zombie.process.send_signal(signal.SIGSTOP)
            with sink(tmp_path / "other", config, tmp_path / "lake", flush_s=0.2):
                assert await rows(lake, 18) == once(range(18))
                await append(18, 27)
                await rows(lake, 27)
                zombie.process.send_signal(signal.SIGCONT)
                await zombie.says("sink_conflict")
                await append(27, 36)
                assert await rows(lake, 36) == once(range(36))
        assert await rows(lake, 36) == once(range(36))
    finally:
        await log.close()
