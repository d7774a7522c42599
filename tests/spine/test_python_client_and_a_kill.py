"""Heliograph is killed while an application tells of calls: it notices nothing, and each call is there once Heliograph is back."""

from pathlib import Path

from heliograph_client import AsyncLogger

from tests.fakes.log_taker import until
from tests.fakes.stack import stack as running

PART = 300


def test_calls_are_there_after_a_kill(tmp_path: Path) -> None:
    with running(tmp_path) as made, AsyncLogger(base_url=made.proxy, flush_every_s=0.005) as logger:
        told = [logger.log({"object": "chat.completion"}, user_id="before") for _ in range(PART)]
        made.kill_tree()
        told += [logger.log({"object": "chat.completion"}, user_id="away") for _ in range(PART)]
        made.start()
        told += [logger.log({"object": "chat.completion"}, user_id="after") for _ in range(PART)]
        assert logger.flush(60)
        assert (logger.sent, logger.dropped, logger.refused) == (3 * PART, 0, 0)
        until(lambda: made.query("SELECT count(*) AS n FROM calls")[0]["n"] >= 3 * PART, seconds=60)
        assert made.query("SELECT count(*) AS n, count(DISTINCT request_id) AS told FROM calls") == [{"n": 3 * PART, "told": 3 * PART}]
        assert {row["request_id"] for row in made.rows("true")} == set(told)
