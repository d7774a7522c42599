"""`python -m bench.clients`: what the Python client costs the thread that tells of a call, beside encoding the same bodies as JSON there.

A server in a process of its own takes the batches, while calls are told of one after another, a short rest between two, so that the
thread in the background works all the while. Beside that: how many a second go through when nobody rests.

    python -m bench.clients [--calls 5000]
"""

import argparse
import contextlib
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from heliograph_client import AsyncLogger
from openai.types.chat import ChatCompletion

from bench.ingress import Row, table

SERVER = "import sys; from tests.fakes.log_taker import LogTaker; print(LogTaker(keeps=False).port, flush=True); sys.stdin.read()"
REST_S = 0.000_2
ASKED_US = "≤ 50"
CHUNKS = 100
GIVEN: Any = {"user_id": "user-7", "session_id": "trip-7", "properties": {"plan": "pro", "feature": "bench"}}


def chat(messages: int) -> dict[str, Any]:
    said = [{"role": "user" if number % 2 == 0 else "assistant", "content": "A word. " * 30} for number in range(messages)]
    return {"model": "gpt-4o-mini", "messages": said, "temperature": 0.5, "max_tokens": 500}


def answer() -> dict[str, Any]:
    usage = {"prompt_tokens": 1200, "completion_tokens": 350, "total_tokens": 1550, "prompt_tokens_details": {"cached_tokens": 1024}}
    choice = {"index": 0, "message": {"role": "assistant", "content": "A word. " * 100}, "logprobs": None, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024-07-18", "choices": [choice], "usage": usage}


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Its URL."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


def micros(work: Callable[[], object], calls: int) -> list[float]:
    """Of each call, by the clock, in order of size."""
    found = []
    for _ in range(calls):
        began = time.perf_counter()
        work()
        found.append((time.perf_counter() - began) * 1e6)
        time.sleep(REST_S)
    return sorted(found)


def told(name: str, url: str, act: Callable[[AsyncLogger], object], calls: int, beside: float | None, each: int = 1) -> Row:
    with AsyncLogger(base_url=url, queue_calls=100_000) as logger:
        for _ in range(200):
            act(logger)
        return row(name, micros(lambda: act(logger), calls), beside, each)


def wrapped(name: str, url: str, function: Callable[..., object], asked: dict[str, Any], calls: int, beside: float) -> Row:
    with AsyncLogger(base_url=url, queue_calls=100_000) as logger:
        listened = logger.wrap(function, **GIVEN)
        for _ in range(200):
            listened(**asked)
        return row(name, micros(lambda: listened(**asked), calls), beside)


def row(name: str, found: list[float], beside: float | None, each: int = 1) -> Row:
    median, late = statistics.median(found) / each, found[int(len(found) * 0.99)] / each
    ratio = "" if beside is None else f"{median / beside:.2f} of json.dumps"
    return (f"{name}, µs", f"{median:.1f} (p99 {late:.0f})", ratio, ASKED_US)


def dumped(*bodies: object) -> float:
    return statistics.median(micros(lambda: [json.dumps(body) for body in bodies], 2_000))


def streamed(logger: AsyncLogger, pieces: list[Any]) -> None:
    for _ in logger.wrap(lambda **arguments: iter(pieces))(model="gpt-4o-mini", stream=True):
        pass


def throughput(url: str, calls: int) -> Row:
    """From the first call until the server has all of them."""
    asked, answered = chat(2), answer()
    with AsyncLogger(base_url=url, queue_calls=calls, queue_bytes=1 << 30) as logger:
        began = time.perf_counter()
        for _ in range(calls):
            logger.log(answered, request=asked, **GIVEN)
        logger.flush(120)
        rate = logger.sent / (time.perf_counter() - began)
    return ("calls/s, told and sent, one process", f"{rate:,.0f}", "", "")


def rows(url: str, calls: int) -> list[Row]:
    short, long, answered = chat(2), chat(40), answer()
    model = ChatCompletion.model_validate(answered)
    piece = {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": " word"}}]}
    request_id = "0190c5d4-9c8b-7b1e-8f3a-0123456789ab"
    few, many = dumped(short, answered), dumped(long, answered)
    return [
        told("log, 2 messages and a dict", url, lambda logger: logger.log(answered, request=short, **GIVEN), calls, few),
        told("log, 2 messages and an object of openai", url, lambda logger: logger.log(model, request=short, **GIVEN), calls, few),
        told("log, 40 messages and a dict", url, lambda logger: logger.log(answered, request=long, **GIVEN), calls, many),
        wrapped("a wrapped function, 2 messages", url, lambda **said: model, short, calls, few),
        told(f"a chunk of a wrapped stream of {CHUNKS}", url, lambda logger: streamed(logger, [piece] * CHUNKS), calls // 5, None, CHUNKS),
        told("feedback", url, lambda logger: logger.feedback(request_id, True), calls // 5, None),
        throughput(url, calls * 4),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5_000)
    chosen = parser.parse_args()
    if chosen.calls < 500:
        parser.error("--calls: a median and a 99th percentile need 500 or more")
    gc.freeze()
    with server() as url:
        print(table([("", "figure", "ratio", "asked"), *rows(url, chosen.calls)]))


if __name__ == "__main__":
    main()
