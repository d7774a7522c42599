"""What it costs to understand a call: dialect, usage and price, without reading or writing a log. One core, some seconds.

python -m bench.understand [--seconds 1]
"""

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

from bench.dialects import STREAMS, of_size
from eventlog.codec import Batch, BatchId
from eventlog.events import Body, CallFacts, CallId, Outcome, RequestId, ResponseCompleted
from processors.assembled import assemble
from processors.calls import understand
from processors.pricing.rates import RateBook

AT = datetime(2026, 11, 24, 3, 30, tzinfo=UTC)
BATCH = 50
FIVE_MB = 5_000_000


def event(provider: str, path: str, text: str, *, model: str = "gpt-4o-mini", stream: bool = False) -> ResponseCompleted:
    call = CallFacts(
        call_id=CallId("c"),
        request_id=RequestId("r"),
        created_at=AT,
        provider=provider,
        method="POST",
        path=path,
        target_url=f"https://api.{provider}.com{path}",
        model=model,
        properties={"feature": "bench"},
    )
    body = Body(text=text, size=len(text), content_type="text/event-stream" if stream else "application/json")
    return ResponseCompleted(call=call, completed_at=AT, outcome=Outcome.COMPLETED, status=200, latency_ms=1, response=body)


def chat_answer(size: int) -> str:
    usage = {
        "prompt_tokens": 1200,
        "completion_tokens": 350,
        "total_tokens": 1550,
        "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0},
    }
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": "stop"}],
        "usage": usage,
        "service_tier": "default",
    }
    answer["choices"][0]["message"]["content"] = "A word. " * ((size - len(json.dumps(answer))) // 8)  # type: ignore[index]
    return json.dumps(answer)


def micros(work: Callable[[], object], seconds: float, rounds: int = 20) -> float:
    """The core's time, the best of several rounds: what else runs on the machine only ever adds."""
    work()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.process_time()
        for _ in range(rounds):
            work()
        best = min(best, (time.process_time() - start) / rounds)
    return best * 1e6


def memory_of(work: Callable[[], object]) -> int:
    """Bytes that it takes at its peak, beyond what there was before."""
    work()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1, help="for each figure")
    seconds = parser.parse_args().seconds
    rates = RateBook.bundled()

    def batch(one: ResponseCompleted, count: int = 1) -> Batch[ResponseCompleted]:
        return Batch(id=BatchId("0" * 32, 1), partition=0, events=(one,) * count)

    def cost(one: ResponseCompleted, rounds: int = 20) -> float:
        single = batch(one)
        assert understand(single, rates).calls.events[0].cost_usd is not None
        return micros(lambda: understand(single, rates), seconds, rounds)

    chat = ("openai", "/v1/chat/completions")
    many = batch(event(*chat, chat_answer(1500)), BATCH)
    print(f"{'a 2 KB answer':44}{cost(event(*chat, chat_answer(2048))):10,.1f} µs   (≤ 60)")
    each = micros(lambda: understand(many, rates), seconds) / BATCH
    print(f"{'answers of 1.5 KB a second, in batches of 50':44}{1e6 / each:10,.0f}      (≥ 12,000)")
    print(f"{'a 5 MB answer':44}{cost(event(*chat, chat_answer(FIVE_MB)), 1) / 1000:10,.1f} ms   (≤ 40)")
    print("\n                            200 chunks   5 MB of chunks   memory, of the body's size")
    for name, (provider, model, path, made) in STREAMS.items():
        short = event(provider, path, made(200), model=model, stream=provider != "ollama")
        long = event(provider, path, of_size(made, FIVE_MB), model=model, stream=provider != "ollama")
        taken = memory_of(lambda one=long: understand(batch(one), rates)) / FIVE_MB  # type: ignore[misc]
        print(f"{name:28}{cost(short):7,.1f} µs{cost(long, 1) / 1000:14,.1f} ms{taken:17.1f}")
    print(f"{'at most':28}{400:7,} µs{40:14,} ms{3:17}")
    stream = event(*chat, STREAMS["chat completions"][3](200), stream=True)
    print(f"\n{'assembling a stream of 200 chunks':44}{micros(lambda: assemble(stream), seconds):10,.1f} µs")


if __name__ == "__main__":
    main()
