"""Waiting for a log that is away: told when it begins and when it is over, not at each attempt."""

from structlog.testing import capture_logs

from eventlog.port import LogUnavailable
from processors.patience import Patience


async def test_an_outage_is_told_once_and_its_end_too() -> None:
    now, failures = [0.0], [LogUnavailable("the cluster is away")] * 5

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    async def attempt() -> str:
        if failures:
            raise failures.pop()
        return "done"

    patience = Patience(lambda: now[0], sleep, step="calls")
    with capture_logs() as told:
        assert await patience.with_log(attempt) == "done"
        assert await patience.with_log(attempt) == "done"
    assert told == [
        {"event": "log_unavailable", "step": "calls", "error": "the cluster is away", "log_level": "warning"},
        {"event": "log_available", "step": "calls", "after_s": round(now[0], 3), "log_level": "info"},
    ]
