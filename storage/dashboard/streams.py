"""Events to a browser that keeps listening: of calls that arrive, of a search that goes on."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from fastapi.responses import StreamingResponse

from eventlog.keys import NotAdmitted
from storage.dashboard.access import SignInNeeded
from storage.dashboard.writing import HEADERS
from storage.refusal import Refused

STILL = b": still here\n\n"
"""A comment, by which a browser that is gone is noticed."""


def event(name: str, said: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(said) + b"\n\n"


def streamed(events: AsyncIterator[bytes]) -> StreamingResponse:
    """The events, and in the end one that says so. What is refused on the way is an event too: the status went long ago."""

    async def told() -> AsyncIterator[bytes]:
        try:
            async for each in events:
                yield each
            yield event("ended", {})
        except SignInNeeded:
            yield event("refused", {"code": "sign_in", "message": "The session ended.", "fix": "Sign in again."})
        except NotAdmitted as error:
            yield event("refused", {"code": error.code, "message": str(error), "fix": ""})
        except Refused as refused:
            said = refused.refusal
            yield event("refused", {"code": said.code, "message": said.message, "fix": said.fix})

    return StreamingResponse(told(), headers=HEADERS | {"x-accel-buffering": "no"}, media_type="text/event-stream")
