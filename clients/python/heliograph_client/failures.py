"""An exception that ended a call: its status, and what may be told of it. It is not kept, for it holds the frames it passed through."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Mapping

from heliograph_client.facts import CANCELLED, FAILED, TIMED_OUT

SHOWN = 1_000
"""Characters of a message."""
_LEFT = (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError)
_SECRET = re.compile(r"(?i)(bearer\s+|basic\s+|sk-|pk-|(?:key|token|secret|password|signature)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,}]+")


def status_of(error: BaseException) -> int:
    """HTTP's where the provider answered. openai, anthropic, httpx and requests keep it in one of two places."""
    if isinstance(error, _LEFT):
        return CANCELLED
    for place in (error, getattr(error, "response", None)):
        status = getattr(place, "status_code", None)
        if isinstance(status, int) and not isinstance(status, bool) and 400 <= status <= 599:
            return status
    is_timeout = isinstance(error, TimeoutError) or any("timeout" in kind.__name__.lower() for kind in type(error).__mro__)
    return TIMED_OUT if is_timeout else FAILED


def body_of(error: BaseException) -> Mapping[str, Any]:
    """The provider's, where it is known, else the kind of error and its message, secrets masked."""
    body = getattr(error, "body", None)
    if isinstance(body, Mapping):
        return body if "error" in body else {"error": body}
    return {"error": {"type": type(error).__name__, "message": _SECRET.sub(r"\1***", str(error))[:SHOWN]}}
