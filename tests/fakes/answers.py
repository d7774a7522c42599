"""Answers to keep, and a clock that is told the time, for stores of answers."""

from ingress.cache_store import Stored

KEY, OTHER = b"k" * 32, b"o" * 32


class Clock:
    """Seconds since 1970."""

    now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


def stored(name: str = "a", body: bytes = b"{}") -> Stored:
    return Stored(call_id=name, headers=[(b"content-type", b"text/plain")], pieces=[body], sized=True, latency_ms=5.0)
