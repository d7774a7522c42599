"""Where a call may go, one after the other, and what is sent to each: made when its turn comes, so that one body is held at a time."""

from collections.abc import Sequence

from ingress.attempts import Target
from ingress.edits import check_object, merged, with_stream_usage
from ingress.fallbacks import NAME as FALLBACKS
from ingress.fallbacks import Fallback
from ingress.recording import Recording
from ingress.routes import Route, Router

Headers = Sequence[tuple[bytes, bytes]]


class Targets:
    """Those of one call. Raises BadRequest at once for what is wrong with any of them, before the first is asked."""

    def __init__(self, recording: Recording, router: Router, route: Route, forwarded: Headers, body: bytes | None) -> None:
        directives = recording.directives
        self._fallbacks, self._forwarded, self._index = directives.fallbacks, forwarded, 0
        self._ways = [router.route_to(FALLBACKS, each.url, recording.target) for each in self._fallbacks] or [route]
        if any(each.override for each in self._fallbacks):
            check_object(body or b"", header=FALLBACKS)
        self._body = with_stream_usage(body, header="Helicone-Stream-Usage") if directives.stream_usage and body else body

    async def next(self) -> Target:
        """The one whose turn it is; there must be one."""
        index, self._index = self._index, self._index + 1
        route = self._ways[index]
        if not self._fallbacks:
            return Target(route=route, headers=self._forwarded, body=self._body)
        return self._fallback(index, self._fallbacks[index], route)

    def _fallback(self, index: int, each: Fallback, route: Route) -> Target:
        if each.override:
            self._body = merged(self._body or b"", each.override, header=FALLBACKS)
        return Target(
            route=route,
            headers=each.headers_for(self._forwarded),
            body=self._body,
            index=index,
            codes=each.codes,
            following=index + 1 < len(self._ways),
        )
