"""Never more than the quota in any window, by a count over all that happened; and what the headers tell."""

import math
from collections.abc import Sequence
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.policies import Policy, Unit, parse_policy
from ingress.windows import SECOND, SLOTS, Entry, Verdict, counted, judge, live

Steps = list[float]
"""Seconds between one call and the next."""


class Counter:
    """What a store does with a window. Times are in seconds."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.entries: Sequence[Entry] = []
        self.admitted: list[int] = []

    def ask(self, now: float) -> Verdict:
        verdict = self.would(now)
        if verdict.allowed and self.policy.unit is Unit.REQUEST:
            self.entries = counted(self.policy, live(self.entries, micro(now)), micro(now), 1.0)
            self.admitted.append(micro(now))
        return verdict

    def would(self, now: float) -> Verdict:
        return judge(self.policy, live(self.entries, micro(now)), micro(now))

    def spend(self, now: float, cents: float) -> None:
        self.entries = counted(self.policy, live(self.entries, micro(now)), micro(now), cents)

    def within(self, now: float, seconds: float) -> int:
        """Admitted in the last so many seconds."""
        return sum(1 for at in self.admitted if at > micro(now) - micro(seconds))


def micro(seconds: float) -> int:
    return round(seconds * SECOND)


def test_ten_in_any_sixty_seconds() -> None:
    """The burst of the contract, section 4.5: statuses and what remains; reset is when all ten are free."""
    counter = Counter(parse_policy("10;w=60;s=user"))
    said = [counter.ask(1000.0) for _ in range(12)]
    assert [verdict.allowed for verdict in said] == [True] * 10 + [False] * 2
    assert [verdict.remaining for verdict in said] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0]
    assert {verdict.reset_s for verdict in said} == {60}
    assert [verdict.retry_after_s for verdict in said] == [0] * 10 + [60] * 2
    assert not counter.ask(1059.9).allowed
    assert [counter.ask(1060.0).allowed for _ in range(11)] == [True] * 10 + [False]


def test_a_window_slides() -> None:
    counter = Counter(parse_policy("2;w=10"))
    assert [counter.ask(at).allowed for at in (0.0, 6.0, 9.9, 10.0, 15.9, 16.0)] == [True, True, False, True, False, True]
    assert counter.ask(16.5) == Verdict(allowed=False, remaining=0, reset_s=10, retry_after_s=4)


steps = st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=120)
quotas = st.integers(1, SLOTS) | st.sampled_from([1.5, 2.9])


@given(quotas, st.integers(1, 90), steps)
def test_small_quotas_are_exact(quota: float, window_s: int, between: Steps) -> None:
    counter = Counter(Policy(quota=quota, window_s=window_s))
    for now in accumulate(between):
        room = counter.within(now, window_s) + 1 <= quota
        assert counter.ask(now).allowed == room


@given(st.integers(SLOTS + 1, 300), st.integers(1, 90), st.lists(st.tuples(st.floats(0, 3), st.integers(1, 60)), max_size=60))
def test_large_quotas_err_to_the_strict_side(quota: int, window_s: int, bursts: list[tuple[float, int]]) -> None:
    counter, now = Counter(Policy(quota=quota, window_s=window_s)), 0.0
    for wait, calls in bursts:
        now += wait
        for _ in range(calls):
            before, longer = counter.within(now, window_s), counter.within(now, window_s * (1 + 1 / SLOTS))
            allowed = counter.ask(now).allowed
            assert not (allowed and before + 1 > quota)
            assert allowed or longer + 1 > quota
        assert len(counter.entries) <= SLOTS + 1


@given(st.sampled_from([10, 1000]), st.lists(st.floats(-30, 30), max_size=80))
def test_a_clock_that_is_put_back_lets_no_more_through(quota: int, between: Steps) -> None:
    counter = Counter(Policy(quota=quota, window_s=20))
    for now in accumulate(between, initial=10_000.0):
        counter.ask(now)
        assert list(counter.entries) == sorted(counter.entries, key=lambda entry: entry.leaves_at)
        assert sum(entry.amount for entry in counter.entries) <= quota


@given(quotas, steps)
def test_whoever_waits_as_told_passes_and_not_a_second_earlier(quota: float, between: Steps) -> None:
    counter = Counter(Policy(quota=quota, window_s=60))
    for now in accumulate(between):
        verdict = counter.ask(now)
        if not verdict.allowed:
            assert not counter.would(now + verdict.retry_after_s - 1).allowed
            assert counter.would(now + verdict.retry_after_s).allowed


@given(quotas, steps)
def test_at_the_reset_all_is_free(quota: float, between: Steps) -> None:
    counter = Counter(Policy(quota=quota, window_s=60))
    for now in accumulate(between):
        verdict = counter.ask(now)
        assert live(counter.entries, micro(now + verdict.reset_s)) == []
        assert verdict.remaining == max(0, math.floor(quota - counter.within(now, 60)))


class TestCents:
    def test_calls_pass_while_less_than_the_quota_is_spent(self) -> None:
        counter = Counter(parse_policy("10;w=60;u=cents"))
        assert counter.ask(0.0) == Verdict(allowed=True, remaining=10, reset_s=0, retry_after_s=0)
        counter.spend(1.0, 9.5)
        assert counter.ask(1.0) == Verdict(allowed=True, remaining=0, reset_s=61, retry_after_s=0)
        counter.spend(1.0, 30)
        verdict = counter.ask(2.0)
        assert (verdict.allowed, verdict.remaining, verdict.retry_after_s) == (False, 0, 60)
        assert counter.ask(62.0).allowed

    @pytest.mark.parametrize("cents", [0.0, 1e-9, 0.3])
    def test_asking_takes_nothing(self, cents: float) -> None:
        counter = Counter(parse_policy("1;w=60;u=cents"))
        counter.spend(0.0, cents)
        assert len({counter.ask(1.0) for _ in range(50)}) == 1

    @given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 3)), max_size=150))
    def test_nothing_leaves_too_early_and_slots_are_bounded(self, spends: list[tuple[float, float]]) -> None:
        counter, now, log = Counter(Policy(quota=10, window_s=60, unit=Unit.CENTS)), 0.0, list[tuple[float, float]]()
        for wait, cents in spends:
            now += wait
            spent = sum(amount for at, amount in log if at > now - 60)
            if spent >= 10 + 1e-6:
                assert not counter.ask(now).allowed
            counter.spend(now, cents)
            log.append((now, cents))
            assert len(counter.entries) <= SLOTS + 1
