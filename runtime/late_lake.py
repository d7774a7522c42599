"""A lake that is opened when it is first asked, beside the event loop; what it cannot answer now is asked again later."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, TypeVar

import structlog

from eventlog.alerts import Alert, Measured
from processors.webhooks.bodies import Key
from processors.webhooks.messages import CallTold, Sides
from runtime.settings import Settings

log = structlog.get_logger()

T = TypeVar("T")


class LateLake:
    """One for each role. Close it at the end."""

    def __init__(self, chosen: Settings) -> None:
        self._chosen = chosen
        self._opening = asyncio.Lock()
        self._lake: Any = None
        self._away = ""

    async def bodies(self, calls: Sequence[CallTold]) -> Mapping[Key, Sides]:
        """Those that are at rest."""
        return await self._asked(lambda lake: lake.bodies(calls)) or {}

    async def measured(self, alert: Alert, now: datetime) -> Measured | None:
        """None while the lake does not answer."""
        return await self._asked(lambda lake: lake.measured(alert, now))

    async def close(self) -> None:
        if self._lake is not None:
            await asyncio.to_thread(self._lake.close)

    async def _asked(self, question: Callable[[Any], T]) -> T | None:
        module = await asyncio.to_thread(import_module, "runtime.webhook_lake")
        try:
            async with self._opening:
                if self._lake is None:
                    self._lake = await asyncio.to_thread(module.WebhookLake, self._chosen)
            answer = await asyncio.to_thread(question, self._lake)
        except module.AWAY as error:
            if not self._away:
                log.warning("lake_not_answering", role="webhooks", error=str(error))
            self._away = str(error) or type(error).__name__
            return None
        if self._away:
            log.info("lake_answering", role="webhooks")
        self._away = ""
        return answer
