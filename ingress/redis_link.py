"""One Redis server, or one that speaks like it: scripts run there, each in one round trip; away, it is not asked again until it is back.

It must never hold up a call. Whoever asks waits for `timeout_s` at most; after the first failure nobody does, until a look beside the calls
finds it there again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Any

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError

from ingress.config import RedisConfig

log = structlog.get_logger()

CONNECTIONS = 64
LOOK_S = 0.5
"""So often it is looked whether it is back."""

Word = str | bytes | int | float
FAILURES = (RedisError, OSError, TimeoutError)


class RedisAway(Exception):
    """It cannot be asked now."""


SCRIPTS = {
    "judge": ("windows", "judge"),
    "spend": ("windows", "spend"),
    "find": ("answers", "find"),
    "put": ("answers", "put"),
    "clear": ("answers", "clear"),
    "forget": ("answers", "forget"),
    "stats": ("answers", "stats"),
}
"""Files in `lua`, one after the other."""


def script(name: str) -> str:
    """The text of one of our scripts."""
    return "\n".join(files("ingress").joinpath("lua", f"{part}.lua").read_text() for part in SCRIPTS[name])


class RedisLink:
    """Lives on the running event loop, from the first question on."""

    def __init__(self, config: RedisConfig) -> None:
        self.prefix = config.prefix
        self._timeout_s = config.timeout_s
        pool = BlockingConnectionPool.from_url(
            config.url,
            max_connections=CONNECTIONS,
            timeout=config.timeout_s,
            socket_connect_timeout=config.timeout_s,
            socket_timeout=config.timeout_s,
            retry=Retry(NoBackoff(), 1, supported_errors=(Disconnected,)),  # a connection that was closed while nobody used it
            protocol=2,
        )
        self._redis = Redis.from_pool(pool)
        self._scripts = {name: self._redis.register_script(script(name)) for name in SCRIPTS}
        self._looking: asyncio.Task[None] | None = None

    @property
    def away(self) -> bool:
        return self._looking is not None

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

    async def _asked(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        if self._looking is not None:
            raise RedisAway("Redis is away")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await ask()
        except Exception as error:  # whatever its client says, it is no fault of the call's
            reason = f"{type(error).__name__}: {error}"
            if self._looking is None:
                log.warning("redis_away", error=reason)
                self._looking = asyncio.create_task(self._until_back())
            raise RedisAway(reason) from error

    async def aclose(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        await self._redis.aclose()

    async def _until_back(self) -> None:
        """Until something can be written there: a full one, or a replica, answers too."""
        while True:
            await asyncio.sleep(LOOK_S)
            with suppress(*FAILURES):
                async with asyncio.timeout(self._timeout_s):
                    await self._redis.set(f"{self.prefix}:looked", 1, px=1000)
                break
        self._looking = None
        log.info("redis_back")
