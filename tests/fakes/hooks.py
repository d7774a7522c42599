"""Webhooks and alerts as they are decided, and a post that needs no network."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from eventlog.alerts import Alert, AlertMetric
from eventlog.events import Organization
from eventlog.webhooks import Webhook
from processors.webhooks.deliveries import Tried

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE_S = 30.0


def webhook(id_: str = "w1", **more: Any) -> Webhook:
    known = {"organization": Organization("default"), "hmac_key": "key-of-messages", "link_key": "key-of-links", "created_at": LONG_AGO}
    return Webhook(**{"id": id_, "destination": f"https://{id_}.example/hook?token=t0p", **known, **more})  # type: ignore[arg-type]


def alert(id_: str = "a1", **more: Any) -> Alert:
    known: dict[str, Any] = {"organization": Organization("default"), "name": "too dear", "metric": AlertMetric.COST, "threshold": 10.0}
    return Alert(**{"id": id_, "window_s": 3600, "webhook": "w1", "created_at": LONG_AGO, **known, **more})


@dataclass
class Sent:
    """One try."""

    destination: str
    body: bytes
    headers: dict[str, str]

    @property
    def key(self) -> str:
        return self.headers["Heliograph-Delivery"]


@dataclass
class Outside:
    """All that is sent, and what comes of each: `answer` says it, by the try; a future is waited for."""

    answer: Callable[[Sent], Tried | asyncio.Future[Tried]] = lambda _: Tried(status=200)
    sent: list[Sent] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def post(self, destination: str, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Tried:
        sent = Sent(destination, body, {name.decode(): value.decode() for name, value in headers})
        async with self.news:
            self.sent.append(sent)
            self.news.notify_all()
        tried = self.answer(sent)
        return tried if isinstance(tried, Tried) else await tried

    async def until(self, count: int) -> list[Sent]:
        """Waits for so many tries."""
        async with asyncio.timeout(PATIENCE_S), self.news:
            await self.news.wait_for(lambda: len(self.sent) >= count)
        return self.sent
