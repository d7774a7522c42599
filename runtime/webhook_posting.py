"""Messages on their way out: one try, over the same connections that calls to providers take.

Those connect to the address that was judged, after the name was resolved, and follow no redirect. Another client would need the same
judgement built into its connections.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from eventlog.webhooks import Webhook
from ingress.connection import Answer
from ingress.errors import BadRequest, CallFailed, UpstreamError
from ingress.upstream import Origin, Sender
from processors.webhooks.deliveries import Tried
from processors.webhooks.messages import Told, headers_of, trial_message
from runtime.outward import sender
from runtime.settings import Settings
from runtime.webhooks import Unfit, check_destination

ANSWER_LIMIT = 64 << 10
"""Bytes of an answer that are read; what it says does not matter, but its connection can be used again."""
TEST_S = 10.0


class Posting:
    """Sends one message once. A try has `seconds`, name resolution and TLS included."""

    def __init__(self, sender: Sender, *, seconds: float, allow_private: bool) -> None:
        self._sender, self._seconds, self._allow_private = sender, seconds, allow_private

    async def __call__(self, destination: str, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Tried:
        try:
            check_destination(destination, allow_private=self._allow_private)  # the operator may have changed what is allowed
        except Unfit as error:
            return Tried(error=str(error), refused=True)
        origin, _ = Origin.parse(destination)
        parts = urlsplit(destination)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        status: int | None = None
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._sender.send(origin, b"POST", target.encode(), headers, body)
                status = answer.status
                await _read(answer)
        except TimeoutError:
            return Tried(status=status, error=f"it did not answer within {self._seconds:g} s")
        except UpstreamError as error:
            return Tried(status=status, error=str(error))
        except BadRequest as error:
            return Tried(error=str(error), refused=True)
        except CallFailed as error:
            return Tried(status=status, error=str(error))
        return Tried(status=status)


async def _read(answer: Answer) -> None:
    size = 0
    try:
        while size <= ANSWER_LIMIT and (piece := await answer.read()):
            size += len(piece)
    finally:
        answer.close()


async def try_out(chosen: Settings, webhook: Webhook) -> Tried:
    """A message about a call that never was, sent once."""
    outward = sender(chosen)
    try:
        now = datetime.fromtimestamp(time.time(), UTC)
        body = trial_message(webhook, now)
        post = Posting(outward, seconds=TEST_S, allow_private=chosen.allow_private_targets)
        return await post(webhook.destination, body, headers_of(webhook, body, key=f"test.{webhook.id}.{now.isoformat()}", told=Told.TEST))
    finally:
        await outward.aclose()


def told_of_test(tried: Tried) -> str:
    return f"The webhook took a test message and answered {tried.status}." if tried.taken else f"The webhook took no test message: {tried}."
