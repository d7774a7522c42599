"""What every request of the query port passes: HEAD, the limit of a body, the content type of a write.

Plain ASGI around the app, so that a body that is too large is refused while it comes, and nothing behind needs to know.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from storage.refusal import Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Door:
    """Answers HEAD as GET without a body, refuses bodies over `body_limit` bytes (413) and bodies that are no JSON (415).

    What is posted to `judging` judges its bodies itself: it takes longer ones, and other kinds.
    """

    def __init__(self, app: App, *, body_limit: int, judging: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._body_limit = body_limit
        self._judging = judging

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._app({**scope, "method": "GET"}, receive, _without_body(send))
        elif scope["method"] not in _WRITES or scope["path"] in self._judging or _is_bare(scope):
            await self._app(scope, receive, send)
        else:
            await self._write(scope, receive, send)

    async def _write(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal_of_type(scope)
        body = b"" if refusal else await self._body(receive)
        if refusal is None and body is None:
            refusal = _too_large(self._body_limit)
        if refusal:
            await _answer(refusal, send)
            return
        await self._app(scope, _replay(body or b"", receive), send)

    async def _body(self, receive: Receive) -> bytes | None:
        """All of the body; None as soon as it is too large."""
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._body_limit:
                return None
            if not message.get("more_body", False):
                return bytes(body)


def refusal_json(refusal: Refusal) -> bytes:
    """`{"error": {…}}`, as every error of this port is sent."""
    error = {
        "code": refusal.code,
        "message": _sayable(refusal.message),
        "field": refusal.field and _sayable(refusal.field),
        "fix": refusal.fix,
    }
    if refusal.position is not None:
        error["position"] = refusal.position  # type: ignore[assignment]
    return msgspec.json.encode({"error": error})


def _sayable(text: str) -> str:
    """It may repeat what was sent, and JSON can send halves of characters."""
    return text.encode("utf-8", "replace").decode()


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body that was read, once; then whatever comes, which is that the client left."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _without_body(send: Send) -> Send:
    async def head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return head


def _is_bare(scope: Scope) -> bool:
    """A DELETE without a body, which has no type. No form of a page sends one, and what its scripts send is the guard's to judge."""
    sent = {name.lower(): value for name, value in scope["headers"]}
    return scope["method"] == "DELETE" and b"transfer-encoding" not in sent and sent.get(b"content-length", b"0") == b"0"


def _refusal_of_type(scope: Scope) -> Refusal | None:
    sent = next((value for name, value in scope["headers"] if name.lower() == b"content-type"), b"").decode("latin-1")
    media = sent.partition(";")[0].strip().lower()
    if media == "application/json" or media.endswith("+json"):
        return None
    return Refusal(
        code="unsupported_media_type",
        message=f"The body's content type is {media[:80] or 'missing'}; only JSON is taken.",
        fix="Send the header content-type: application/json.",
        field="content-type",
        status=415,
    )


def _too_large(limit: int) -> Refusal:
    return Refusal(
        code="body_too_large",
        message=f"The body is larger than {limit} bytes.",
        fix="Send less; pass long values as parameters of several questions.",
        field="body",
        status=413,
    )


async def _answer(refusal: Refusal, send: Send) -> None:
    """Without reading the rest of the body: the connection cannot be used again, and says so."""
    body = refusal_json(refusal)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
