"""The account of rows after load on a Heliograph whose processes were killed.

What must hold under strict durability: each answer that a client saw completed has exactly one row, no call id is there twice, and every
other row is a call that was open at a kill.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import aiohttp


@dataclass
class Account:
    """What the clients saw, and what the lake says. Calls are known by a token that each carries as a property."""

    completed: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    kills: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    call_ids: Counter[str] = field(default_factory=Counter)

    @property
    def missing(self) -> set[str]:
        return self.completed - self.rows.keys()

    @property
    def doubled(self) -> list[str]:
        return [name for name, count in (*self.rows.items(), *self.call_ids.items()) if count > 1]

    @property
    def unexplained(self) -> set[str]:
        return self.rows.keys() - self.completed - self.broken

    def line(self) -> str:
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        return (
            f"kills: {kills}; answers seen completed: {len(self.completed)}, cut by a kill: {len(self.broken)}, rows: {len(self.rows)};"
            f" missing: {len(self.missing)}, doubled: {len(self.doubled)}, unexplained: {len(self.unexplained)}"
        )


class Seen(NamedTuple):
    """What a client saw of one answer, read to its end."""

    status: int
    """0 for a stream without its end."""
    request_id: str


async def call(session: aiohttp.ClientSession, proxy: str, token: str, *, streamed: bool) -> Seen:
    """Raises what aiohttp raises."""
    body = {"model": "gpt-4o-mini", "stream": streamed, "messages": [{"role": "user", "content": token}]}
    headers = {"content-type": "application/json", "authorization": "Bearer sk-test", "helicone-property-token": token}
    async with session.post(f"{proxy}/v1/chat/completions", data=json.dumps(body), headers=headers) as answer:
        text = await answer.read()
        whole = answer.status != 200 or not streamed or b"[DONE]" in text
        return Seen(answer.status if whole else 0, answer.headers.get("helicone-id", ""))
