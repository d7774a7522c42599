"""What an ingress shares with others: the counts of limits, and answers. On this machine in the data directory; among machines in Redis."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import structlog

from eventlog.following import Opened
from ingress.cache_store import CacheStore, CacheUnavailable, SharedCache
from ingress.config import RedisConfig
from ingress.ledger import Ledger, LedgerUnavailable, SharedLedger, Spending
from ingress.settling import Settler
from ingress.telemetry import Telemetry
from runtime.deciding import beside
from runtime.settings import Misconfigured, Settings

log = structlog.get_logger()

ROOM_BYTES = 32 << 20
"""What Redis needs beside answers: counts, connections, its own."""


class Shared:
    """Open until `aclose`. `settled`: the ledgers that costs are brought to, each by the folder where it is kept how far that came."""

    def __init__(self, ledger: Ledger, cache: CacheStore, settled: Mapping[str, Spending], closing: contextlib.AsyncExitStack) -> None:
        self.ledger, self.cache = ledger, cache
        self._settled, self._closing = settled, closing

    @classmethod
    async def open(cls, chosen: Settings, telemetry: Telemetry) -> "Shared":
        """Raises Misconfigured where the data directory cannot be used. Redis may be away."""
        redis = chosen.shared_state()
        closing = contextlib.AsyncExitStack()
        try:
            here = SharedLedger(chosen.data_dir / "ledger", limit_bytes=chosen.ledger_bytes)
            closing.callback(here.close)
            if redis is not None:
                return await _among_machines(chosen, redis, here, telemetry, closing)
            cache = SharedCache(chosen.cache_dir, limit_bytes=chosen.cache.bytes)
            closing.callback(cache.close)
        except (LedgerUnavailable, CacheUnavailable) as error:
            raise Misconfigured(f"{error}. HELIOGRAPH_DATA_DIR must name a directory that can be written.") from error
        return cls(here, cache, {"ledger": here}, closing)

    @contextlib.asynccontextmanager
    async def settling(self, chosen: Settings, opened: Opened, telemetry: Telemetry) -> AsyncIterator[None]:
        """What calls cost is brought to the ledgers meanwhile."""
        async with contextlib.AsyncExitStack() as stack:
            for name, ledger in self._settled.items():
                folder = chosen.data_dir / name
                folder.mkdir(exist_ok=True)
                await stack.enter_async_context(beside(Settler(opened, ledger, folder, telemetry).run(), "settling"))
            yield

    async def aclose(self) -> None:
        await self._closing.aclose()


def tell_of_memory(memory: Mapping[str, Any], cache_bytes: int) -> None:
    """Where Redis is set up so that counts may be lost."""
    most, policy = int(memory.get("maxmemory", 0)), str(memory.get("maxmemory_policy", ""))
    if most and policy != "noeviction":
        log.warning("redis_may_evict", policy=policy, remedy="maxmemory-policy noeviction: where a count is thrown out, calls pass")
    if most and most < cache_bytes + ROOM_BYTES:
        remedy = f"more memory for it, or HELIOGRAPH_CACHE__BYTES below {max(most - ROOM_BYTES, 0)}"
        log.warning("redis_too_small", maxmemory=most, cache_bytes=cache_bytes, remedy=remedy)


async def _among_machines(
    chosen: Settings, redis: RedisConfig, here: SharedLedger, telemetry: Telemetry, closing: contextlib.AsyncExitStack
) -> Shared:
    from ingress.redis_cache import RedisCache  # noqa: PLC0415 - its client takes 5 MB of every worker
    from ingress.redis_ledger import LedgerOfTwo, RedisLedger  # noqa: PLC0415
    from ingress.redis_link import RedisAway, RedisLink  # noqa: PLC0415

    link, other = RedisLink(redis), RedisLink(redis)  # large answers must not keep counts waiting
    closing.push_async_callback(link.aclose)
    closing.push_async_callback(other.aclose)
    with contextlib.suppress(RedisAway):  # the log tells of it, at the start rather than at the first call
        tell_of_memory(await link.memory(), chosen.cache.bytes)
    there = RedisLedger(link)
    ledger: Ledger = there if chosen.ingress().refuses_uncounted else LedgerOfTwo(there, here, telemetry)
    return Shared(ledger, RedisCache(other, limit_bytes=chosen.cache.bytes), {"ledger": here, "ledger-redis": there}, closing)
