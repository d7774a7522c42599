"""Where windows are counted among machines: in Redis, by one script for each call. The clock is Redis's own: machines need not agree."""

import secrets
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress

from ingress.ledger import REMEMBERED_S, Judged, Ledger, LedgerUnavailable, Window, judged, told_of
from ingress.policies import Policy, Unit
from ingress.redis_link import RedisAway, RedisLink, Word
from ingress.telemetry import Telemetry
from ingress.windows import SECOND, Entry, slot_of

_PAIR = struct.Struct("<dd")


class RedisLedger:
    """The windows of all who use the same prefix. `clock`: microseconds since 1970, in the place of Redis's."""

    def __init__(self, link: RedisLink, *, clock: Callable[[], int] | None = None) -> None:
        self._link, self._clock = link, clock
        self._id, self._costs = self._named("id"), self._named("limits-costs")
        self._marked = False
        self._known = b""

    async def judge(self, windows: Sequence[Window]) -> Judged:
        keys = [self._id, *(self._named(window.id.hex()) for window in windows)]
        args = [secrets.token_hex(8), self._now(), *(word for window in windows for word in _asked(window.policy))]
        try:
            ledger, now, *before = await self._link.run("judge", keys, args)
        except RedisAway as error:
            raise LedgerUnavailable(str(error)) from error
        if ledger != self._known:  # it was emptied, and knows nothing of costs any more
            self._known, self._marked = ledger, False
        verdicts, _ = judged(windows, [_entries(pairs) for pairs in before], int(now))
        return Judged(ledger.decode(), verdicts)

    async def spend(self, call_id: str, window: Window, cents: float) -> None:
        policy = window.policy
        keys = [self._named(window.id.hex()), self._named(told_of(call_id, window).hex())]
        try:
            await self._link.run("spend", keys, [self._now(), *_times(policy), repr(cents), policy.window_s + REMEMBERED_S])
        except RedisAway as error:
            raise LedgerUnavailable(str(error)) from error

    async def known_as(self) -> str:
        """Empty where nothing was counted yet."""
        try:
            return (await self._link.get(self._id) or b"").decode()
        except RedisAway as error:
            raise LedgerUnavailable(str(error)) from error

    async def limits_costs(self) -> bool:
        try:
            return await self._link.get(self._costs) is not None
        except RedisAway as error:
            raise LedgerUnavailable(str(error)) from error

    async def limit_costs(self) -> None:
        if not self._marked:
            with suppress(RedisAway):  # the next call says it again
                await self._link.set_once(self._costs, 1)
                self._marked = True

    def _named(self, name: str) -> str:
        return f"{self._link.prefix}:limits:{name}"

    def _now(self) -> Word:
        return "" if self._clock is None else self._clock()


class LedgerOfTwo:
    """Counts in the first; while it is away, in the second: what passes then, passes for each machine."""

    def __init__(self, first: Ledger, second: Ledger, telemetry: Telemetry) -> None:
        self._first, self._second, self._telemetry = first, second, telemetry

    async def judge(self, windows: Sequence[Window]) -> Judged:
        try:
            return await self._first.judge(windows)
        except LedgerUnavailable:
            found = await self._second.judge(windows)
        self._telemetry.limit_counted_here()
        return found

    async def limit_costs(self) -> None:
        await self._first.limit_costs()
        await self._second.limit_costs()


def _asked(policy: Policy) -> tuple[Word, ...]:
    length, slot = _times(policy)
    return length, repr(policy.quota), slot, 1 if policy.unit is Unit.REQUEST else 0


def _times(policy: Policy) -> tuple[int, int]:
    """Of the window, and of its slots, in microseconds; 0: each call by itself."""
    return policy.window_s * SECOND, slot_of(policy)


def _entries(pairs: bytes) -> list[Entry]:
    return [Entry(int(leaves_at), amount) for leaves_at, amount in _PAIR.iter_unpack(pairs)]
