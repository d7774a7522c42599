"""Processes are killed outright while calls run; the rows are right afterwards."""

from pathlib import Path

import pytest

from tests.fakes.soak import make, soak


@pytest.mark.timeout(240)
async def test_no_answer_is_lost_or_doubled_by_kills(tmp_path: Path) -> None:
    stack = make(tmp_path, "strict")
    try:
        stack.start_provider()
        stack.start()
        account = await soak(stack, rounds=12, seed=7)
    finally:
        for name in list(stack.processes):
            stack.stop(name)
    assert len(account.completed) > 60
    assert (account.missing, account.doubled, account.unexplained) == (set(), [], set()), account.line()
