"""Writes of the dashboard's pages: sent on to the endpoint that everybody else uses, in the name of whoever signed in.

The session's cookie is good below `/dashboard` alone. So that a page can rate a call, say, its script sends to
`/dashboard/send/v1/request/…/feedback` with the page's token, and the request goes on to `/v1/request/…/feedback` with the session's key.
Only what a page says that it sends is sent on.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fastapi import Request

from storage.api_errors import answer_of
from storage.dashboard.access import Access
from storage.dashboard.page import BASE
from storage.door import Receive, Scope, Send
from storage.refusal import Refusal, Refused

PATH = f"{BASE}/send"
_KEPT = ("type", "asgi", "http_version", "method", "scheme", "query_string", "root_path", "client", "server", "extensions", "state")
_KEYS = frozenset({b"cookie", b"helicone-auth", b"authorization"})


def pattern(wanted: str) -> re.Pattern[str]:
    """Of `POST /v1/request/{id}/feedback`: what stands in braces is one segment."""
    parts = re.split(r"(\{\w+\})", wanted)
    return re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in parts))


class Forward:
    """An ASGI app for everything below `/dashboard/send`."""

    def __init__(self, access: Access, sends: Iterable[str]) -> None:
        self._access = access
        self._sends = [pattern(each) for each in dict.fromkeys(sends)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            self._access.demand_token(request)
            path = scope["path"].removeprefix(PATH)
            if not any(each.fullmatch(f"{scope['method']} {path}") for each in self._sends):
                raise Refused(_NOTHING)
        except Refused as refused:
            await answer_of(refused.refusal)(scope, receive, send)
            return
        app: Callable[[Mapping[str, Any], Receive, Send], Any] = scope["app"]
        await app(sent_on(scope, self._access.key(request)), receive, send)


def sent_on(scope: Scope, key: str | None) -> Scope:
    """The request as the endpoint gets it: without our prefix and the cookies, with the key."""
    headers = [(name, value) for name, value in scope["headers"] if name.lower() not in _KEYS]
    if key is not None:
        headers.append((b"helicone-auth", b"Bearer " + key.encode("latin-1", "replace")))
    raw = scope.get("raw_path") or scope["path"].encode()
    kept = {name: scope[name] for name in _KEPT if name in scope}
    return {**kept, "path": scope["path"].removeprefix(PATH), "raw_path": raw.removeprefix(PATH.encode()), "headers": headers}


_NOTHING = Refusal(code="not_found", message="No page of the dashboard sends this.", fix="Use the API itself, with a key.", status=404)
