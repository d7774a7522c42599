"""A sliding window: what was admitted, or spent, in the last so many seconds, and whether more may pass.

Exact for quotas of up to `SLOTS` calls: a call leaves the window when it is as old as the window is long, and not before. Larger quotas,
and money, are counted in slots, of which a window has `SLOTS`; a slot leaves when its youngest possible call does. So never more than the
quota passes in any window; a call may be refused for one slot's length longer than need be. Times are whole microseconds since 1970.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from msgspec import Struct

from ingress.policies import Policy, Unit

SLOTS = 64
SECOND = 1_000_000
DECIMALS = 9
"""Of a cent, as a policy may name them: sums of binary fractions are not quite what they should be."""


class Entry(Struct, frozen=True):
    """So much, in the policy's unit, counts until `leaves_at`."""

    leaves_at: int
    amount: float


_LEAVES_AT, _AMOUNT = attrgetter("leaves_at"), attrgetter("amount")

Entries = Sequence[Entry]
"""In the order in which they leave."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What a policy says to a call, and what the answer's headers tell."""

    allowed: bool
    remaining: int
    """Whole calls, or cents, that may still pass now."""
    reset_s: int
    """Whole seconds until the whole quota is free again; 0 when it is."""
    retry_after_s: int
    """Whole seconds until something may pass; 0 when it may now."""


def live(entries: Entries, now: int) -> list[Entry]:
    """Those that still count."""
    return list(entries[bisect_right(entries, now, key=_LEAVES_AT) :])


def judge(policy: Policy, entries: Entries, now: int) -> Verdict:
    """Of a call that comes now, before which `entries` were counted, all of them live. What is allowed takes its place by `counted`."""
    used = round(math.fsum(map(_AMOUNT, entries)), DECIMALS)
    taken = 1.0 if policy.unit is Unit.REQUEST else 0.0
    allowed = _has_room(policy, used, taken)
    after = counted(policy, entries, now, taken) if allowed and taken else entries
    return Verdict(
        allowed=allowed,
        remaining=max(0, math.floor(round(policy.quota - used - (taken if allowed else 0.0), DECIMALS))),
        reset_s=_seconds(after[-1].leaves_at - now) if after else 0,
        retry_after_s=0 if allowed else _seconds(_frees_at(policy, entries, used, taken) - now),
    )


def counted(policy: Policy, entries: Entries, now: int, amount: float) -> Entries:
    """`entries`, and what passes now. A clock that was put back lets nothing leave sooner than what came before."""
    last = entries[-1] if entries else Entry(0, 0.0)
    leaves_at = max(_leaves_at(policy, now), last.leaves_at)
    if leaves_at == last.leaves_at and slot_of(policy):
        return [*entries[:-1], Entry(leaves_at, last.amount + amount)]
    return [*entries, Entry(leaves_at, amount)]


def slot_of(policy: Policy) -> int:
    """The length of a slot, in microseconds; 0 where each call is counted by itself."""
    exact = policy.unit is Unit.REQUEST and policy.quota <= SLOTS
    return 0 if exact else policy.window_s * SECOND // SLOTS


def _leaves_at(policy: Policy, now: int) -> int:
    window, slot = policy.window_s * SECOND, slot_of(policy)
    return (now // slot + 1) * slot + window if slot else now + window


def _has_room(policy: Policy, used: float, taken: float) -> bool:
    return used + taken <= policy.quota if taken else used < policy.quota


def _frees_at(policy: Policy, entries: Entries, used: float, taken: float) -> int:
    """When enough has left that a call may pass."""
    for entry in entries:
        used -= entry.amount
        if _has_room(policy, used, taken):
            return entry.leaves_at
    return entries[-1].leaves_at


def _seconds(microseconds: int) -> int:
    return -(-microseconds // SECOND)
