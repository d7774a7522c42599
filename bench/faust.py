"""`python -m bench.faust`: calls that one faust worker understands on one core, from Kafka into Kafka, and what each microsecond goes to.

A null agent, which takes the same messages and does nothing, runs beside it: that is what faust and its consumer cost. The worker is the
real one, `heliograph processors`, feedback join and changelog included. Figures are by its processor time: the brokers share the machine.

python -m bench.faust [--calls 200000] [--partitions 12] [--bootstrap 127.0.0.1:9092]
"""

import argparse
import asyncio
import contextlib
import logging
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import psutil
from msgspec.structs import replace

from bench.understand import chat_answer, event
from eventlog.codec import BatchId, Message, decode, message_of
from eventlog.events import CallId, RequestId, ResponseCompleted
from eventlog.kafka import KafkaLog
from eventlog.kafka_config import KafkaConfig
from eventlog.topics import CALLS, RESPONSES
from processors.calls import understand
from processors.feedback import Held, JoinLimits
from processors.pricing.rates import RateBook
from processors.worker import app_of
from tests.fakes import kafka
from tests.processors.events import AT, EPOCH

BATCH, BODY = 50, 2048
SECONDS = 900


WORDS = [secrets.token_hex(3) for _ in range(2000)]


def answer(chance: Random) -> str:
    """An answer whose words differ from call to call: what is the same everywhere would vanish in compression."""
    text = chat_answer(BODY)
    return text.replace("A word. " * text.count("A word. "), " ".join(chance.choices(WORDS, k=text.count("A word. ") * 8 // 7)))


def batch(sequence: int, partition: int) -> Message:
    chance, events = Random(sequence << 8 | partition), []
    for number in range(BATCH):
        one = event("openai", "/v1/chat/completions", answer(chance))
        name = f"{partition:02x}{sequence:08x}{number:04x}" * 2
        events.append(replace(one, call=replace(one.call, call_id=CallId(name), request_id=RequestId(name), user_id=f"user-{number}")))
    return message_of(RESPONSES, partition, BatchId(EPOCH, sequence), events)


async def fill(config: KafkaConfig, calls: int) -> int:
    """So many calls on the topic of responses; answers how many messages that is."""
    await kafka.create_topics(config)
    log = await KafkaLog.open(config)
    writer = await log.writer()
    rounds = calls // BATCH // config.partitions
    for sequence in range(1, rounds + 1):
        await writer.append([batch(sequence, partition) for partition in range(config.partitions)])
    await log.close()
    return rounds * config.partitions


class Spent:
    """What a process took between its first message and its last."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = psutil.Process(process.pid)
        self.peak = 0

    def now(self) -> tuple[float, float]:
        times = self._process.cpu_times()
        self.peak = max(self.peak, self._process.memory_info().rss)
        return time.monotonic(), times.user + times.system


def on_one_core(process: subprocess.Popen[Any]) -> None:
    os.sched_setaffinity(process.pid, {(os.cpu_count() or 1) - 1})


@contextlib.contextmanager
def process(command: list[str], config: KafkaConfig, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    own = {
        "HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS": config.bootstrap_servers,
        "HELIOGRAPH_KAFKA__TOPIC_PREFIX": config.topic_prefix,
        "HELIOGRAPH_KAFKA__PARTITIONS": str(config.partitions),
        "HELIOGRAPH_KAFKA__MAX_MESSAGE_BYTES": str(config.max_message_bytes),
        "HELIOGRAPH_DATA_DIR": str(folder),
    }
    running = subprocess.Popen([sys.executable, *command], env=inherited | own)
    on_one_core(running)
    try:
        yield running
    finally:
        running.terminate()
        running.wait(60)


async def worker(config: KafkaConfig, messages: int, folder: Path) -> tuple[float, float, int]:
    """Wall seconds and processor seconds for all messages but the first, and the peak of its memory."""
    log = await KafkaLog.open(config)

    async def done() -> int:
        return sum((await log.ends(CALLS.name)).values())

    with process(["-m", "runtime.roles", "processors"], config, folder) as running:
        spent, deadline = Spent(running), time.monotonic() + SECONDS
        while (first := await done()) == 0:  # noqa: ASYNC110 - another process has to be asked
            await asyncio.sleep(0.01)
        began = spent.now()
        while await done() < messages and time.monotonic() < deadline and running.poll() is None:
            await asyncio.sleep(0.05)
            spent.now()
        ended = spent.now()
        share = messages / (await done() - first)
    await log.close()
    return (ended[0] - began[0]) * share, (ended[1] - began[1]) * share, spent.peak


async def null(address: str, prefix: str, messages: int, folder: Path) -> None:
    """The process of the null agent: prints wall and processor seconds for all messages but the first."""
    app = app_of(KafkaConfig(bootstrap_servers=address, topic_prefix=prefix), folder)
    began: list[float] = []
    seen, ended = 0, asyncio.Event()

    @app.agent(app.topic(prefix + RESPONSES.name, key_type=bytes, value_type=bytes, acks=False))
    async def _(stream: Any) -> None:
        nonlocal seen
        async for _ in stream.noack().events():
            if not seen:
                began[:] = [time.monotonic(), time.process_time()]
            seen += 1
            if seen == messages:
                print(time.monotonic() - began[0], time.process_time() - began[1], flush=True)
                ended.set()

    starting = asyncio.create_task(app.start())
    await ended.wait()
    await app.stop()
    await asyncio.gather(starting, return_exceptions=True)


def nothing_done(address: str, prefix: str, messages: int, folder: Path) -> tuple[float, float]:
    command = [
        sys.executable,
        "-m",
        "bench.faust",
        "--null",
        str(messages),
        "--bootstrap",
        address,
        "--prefix",
        prefix,
        "--folder",
        str(folder),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        on_one_core(running)
        printed, _ = running.communicate(timeout=SECONDS)
    wall, processor = map(float, printed.split())
    return wall, processor


def parts() -> dict[str, float]:
    """Microseconds of each pure part, for a call, alone in this process."""
    message, rates = batch(1, 0), RateBook.bundled()
    decoded, _ = decode(ResponseCompleted, message)
    understood = understand(decoded, rates).calls
    limits = JoinLimits()
    others = [understand(decode(ResponseCompleted, batch(number, 0))[0], rates).calls for number in range(2, 2 + 2 * limits.calls // BATCH)]
    numbers, held = count(), Held(limits)

    def join() -> None:
        """Calls of ids that are not held, as they come in life."""
        number = next(numbers)
        held.meet_calls(replace(others[number % len(others)], id=BatchId(EPOCH, number + 1)), AT)

    made = message_of(CALLS, 0, decoded.id, understood.events)
    work: dict[str, Callable[[], object]] = {
        "decode": lambda: decode(ResponseCompleted, message),
        "understand (dialect, usage, price)": lambda: understand(decoded, rates),
        "encode": lambda: message_of(CALLS, 0, decoded.id, understood.events),
        "feedback join: decode calls": lambda: decode(type(understood.events[0]), made),
        "feedback join: hold": join,
    }
    return {name: processor_micros(each) / BATCH for name, each in work.items()}


def processor_micros(work: Callable[[], object], seconds: float = 1.0) -> float:
    """Microseconds of processor time, the mean of a while: as the worker's are counted."""
    work()
    rounds, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        work()
        rounds += 1
    return spent / rounds * 1e6


async def measure(address: str, calls: int, partitions: int, folder: Path) -> None:
    config = kafka.config(address, partitions=partitions)
    print(f"filling a topic with {calls:,} calls, {BATCH} to a message, answers of {BODY:,} bytes …", flush=True)
    messages = await fill(config, calls)
    calls = messages * BATCH
    null_wall, null_processor = await asyncio.to_thread(nothing_done, address, config.topic_prefix, messages, folder / "null")
    wall, processor, peak = await worker(config, messages, folder / "worker")
    each, idle = processor / calls * 1e6, null_processor / calls * 1e6
    print(f"{'null agent':44}{messages / null_processor:10,.0f} messages/s of processor time ({messages / null_wall:,.0f}/s by the clock)")
    print(f"{'worker':44}{calls / processor:10,.0f} calls/s of processor time ({calls / wall:,.0f}/s by the clock)   (≥ 8,000)")
    print(f"{'memory of the worker, at most':44}{peak / 1e6:10,.0f} MB   (≤ 300)")
    print(f"\nof {each:.1f} µs a call:")
    shares = {"faust and its consumer (the null agent)": idle} | parts()
    shares["the rest: writing to Kafka, changelog, lines"] = each - sum(shares.values())
    for name, cost in shares.items():
        print(f"  {name:42}{cost:10.1f} µs {cost / each:6.0%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--bootstrap", help="a broker that runs already; else one is started")
    parser.add_argument("--null", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--prefix", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # new topics find their leaders, and it tells of every step
    if chosen.null:
        asyncio.run(null(chosen.bootstrap, chosen.prefix, chosen.null, chosen.folder))
        return
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        address = chosen.bootstrap or stack.enter_context(kafka.any_broker(folder / "broker"))
        asyncio.run(measure(address, chosen.calls, chosen.partitions, folder))


if __name__ == "__main__":
    main()
