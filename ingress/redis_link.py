"""One Redis server, or one that speaks like it: scripts run there, each in one round trip; away, it is not asked again until it is back.

Whoever asks waits for `timeout_s` at most, once it is their turn. After a failure it is looked, beside the calls, whether it is there:
while it is not, nobody waits.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected

from ingress.config import RedisConfig

log = structlog.get_logger()

AT_ONCE = 8
"""Redis answers one after the other in any case."""
LOOK_S = 0.5
"""So often it is looked whether it is back."""

Word = str | bytes | int | float


class RedisAway(Exception):
    """It cannot be asked now."""


SCRIPTS = {
    "judge": ("windows", "judge"),
    "spend": ("windows", "spend"),
    "find": ("answers", "find"),
    "put": ("answers", "put"),
    "clear": ("answers", "clear"),
    "forget": ("answers", "forget"),
    "places": ("answers", "places"),
    "value": ("answers", "value"),
    "stats": ("answers", "stats"),
}
"""Files in `lua`, one after the other."""


def script(name: str) -> str:
    """The text of one of our scripts."""
    return "\n".join(files("ingress").joinpath("lua", f"{part}.lua").read_text() for part in SCRIPTS[name])


class RedisLink:
    """Lives on the running event loop, from the first question on. `AT_ONCE` of them are under way at most; others wait for their turn."""

    def __init__(self, config: RedisConfig) -> None:
        self.prefix = config.prefix
        self.away = False
        self._turns = asyncio.Semaphore(AT_ONCE)
        pool = BlockingConnectionPool.from_url(
            config.url,
            max_connections=AT_ONCE + 1,
            timeout=config.timeout_s,
            socket_connect_timeout=config.timeout_s,
            socket_timeout=config.timeout_s,
            retry=Retry(NoBackoff(), 1, supported_errors=(Disconnected,)),  # a connection that was closed while nobody used it
            protocol=2,
        )
        self._redis = Redis.from_pool(pool)
        self._scripts = {name: self._redis.register_script(script(name)) for name in SCRIPTS}
        self._looking: asyncio.Task[None] | None = None

    async def run(self, name: str, keys: Sequence[str], args: Sequence[Word]) -> Any:
        """What the script answers. Raises RedisAway."""
        return await self._asked(lambda: self._scripts[name](keys=keys, args=args))

    async def get(self, name: str) -> bytes | None:
        """Raises RedisAway."""
        found: bytes | None = await self._asked(lambda: self._redis.get(name))
        return found

    async def set_once(self, name: str, value: Word) -> None:
        """Sets it where it is not set. Raises RedisAway."""
        await self._asked(lambda: self._redis.set(name, value, nx=True))

    async def memory(self) -> Mapping[str, Any]:
        """What it says of its memory, by the names of `INFO memory`. Raises RedisAway."""
        found: Mapping[str, Any] = await self._asked(lambda: self._redis.info("memory"))
        return found

    async def aclose(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        await self._redis.aclose()

    async def _asked(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        if self.away:
            raise RedisAway("Redis is away")
        async with self._turns:
            if self.away:
                raise RedisAway("Redis is away")
            try:
                return await ask()
            except Exception as error:  # whatever its client says, it is no fault of the call's
                if self._looking is None:  # one question that fails does not say that the next will
                    self._looking = asyncio.create_task(self._look_after())
                raise RedisAway(f"{type(error).__name__}: {error}") from error

    async def _look_after(self) -> None:
        """Until it is there."""
        while (wrong := await self._whats_wrong()) is not None:
            if not self.away:
                self.away = True
                log.warning("redis_away", error=wrong)
            await asyncio.sleep(LOOK_S)
        self._looking = None
        if self.away:
            self.away = False
            log.info("redis_back")

    async def _whats_wrong(self) -> str | None:
        """Why nothing can be written there, twice; None where it can. One that is full, or a replica, answers too."""
        told = None
        for _ in range(2):
            try:
                await self._redis.set(f"{self.prefix}:looked", 1, px=1000)
                return None
            except Exception as error:  # noqa: BLE001 - as above
                told = f"{type(error).__name__}: {error}"
        return told
