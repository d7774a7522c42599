"""Where a call may go, one after the other, and what is sent to each: made when its turn comes, so that one body is held at a time."""

import asyncio
from collections.abc import Sequence
from functools import partial

from ingress.attempts import Target
from ingress.beside import beside
from ingress.context_windows import context_window_of, model_in
from ingress.edits import check_object, has_usage_option, merged, with_stream_usage
from ingress.fallbacks import NAME as FALLBACKS
from ingress.fallbacks import Fallback
from ingress.prompts import HINT, filled
from ingress.prompts import NAME as PROMPT_MODE
from ingress.recording import Recording
from ingress.routes import Route, Router
from ingress.stored_prompts import HINT as PROMPT_HINT
from ingress.stored_prompts import StoredFor, expanded, no_prompts, prompt_in, wish_of
from ingress.token_limits import fitted

Headers = Sequence[tuple[bytes, bytes]]


class Targets:
    """Those of one call. Raises BadRequest at once for what is wrong with any of their ways, before the first is asked."""

    def __init__(
        self, recording: Recording, router: Router, route: Route, forwarded: Headers, body: bytes | None, stored_for: StoredFor = no_prompts
    ) -> None:
        self._recording, directives = recording, recording.directives
        self._fallbacks, self._forwarded, self._index = directives.fallbacks, forwarded, 0
        self._ways = [router.route_to(FALLBACKS, each.url, recording.target) for each in self._fallbacks] or [route]
        self._body = body
        self._stored_for = stored_for

    async def next(self) -> Target:
        """The one whose turn it is; there must be one. Raises BadRequest, with the first, for a body that cannot be changed as is asked."""
        index, self._index = self._index, self._index + 1
        route = self._ways[index]
        if index == 0:
            await self._prepare()
        if not self._fallbacks:
            return Target(route=route, headers=self._forwarded, body=await self._fitted(route))
        return await self._fallback(index, self._fallbacks[index], route)

    async def _prepare(self) -> None:
        directives = self._recording.directives
        if directives.untags and directives.prompt_id is not None:
            await self._fill_in(directives.prompt_id)
        body = self._body or b""
        if any(each.override for each in self._fallbacks):
            await beside(len(body), check_object, body, header=FALLBACKS)
        if directives.stream_usage and body and has_usage_option(self._recording.target):
            self._body = await beside(len(body), with_stream_usage, body, header="Helicone-Stream-Usage")
        if directives.untags:
            await self._untag()

    async def _fill_in(self, prompt: str) -> None:
        """Makes the body of a prompt that is kept here, where it asks for that."""
        recording, body = self._recording, self._body or b""
        named = await beside(len(body), prompt_in, body) if PROMPT_HINT in body else None
        if named != prompt:
            if named is not None:
                recording.warn("prompt_id of the body is not obeyed: Helicone-Prompt-Id names another")
            return
        stored = await self._stored_for(recording.organization, await beside(len(body), wish_of, body))
        found = await beside(len(body) + len(stored.body), expanded, body, stored.body)
        self._body = found.body
        recording.made_of(stored.version, found.inputs)

    async def _untag(self) -> None:
        """Takes the tags of prompts out of the body."""
        recording, body = self._recording, self._body or b""
        if _encoded(recording.head.content_encoding):
            recording.warn(f"{PROMPT_MODE} is not obeyed: the body is encoded, and tags in it are not seen")
            return
        if HINT not in body:
            return
        found = await asyncio.to_thread(filled, body)
        self._body = found.body
        recording.filled_with(found.inputs)
        if found.warning is not None:
            recording.warn(found.warning)

    async def _fitted(self, route: Route) -> bytes | None:
        """The body, cut to what its model reads where that is asked for."""
        directives = self._recording.directives
        if directives.token_limit is None or not self._body:
            return self._body
        window_of = partial(context_window_of, route.place.provider)
        override = directives.model_override or model_in(route.target)
        found = await asyncio.to_thread(fitted, self._body, directives.token_limit, override=override, window_of=window_of)
        if found.warning is not None:
            self._recording.warn(found.warning)
        return found.body

    async def _fallback(self, index: int, each: Fallback, route: Route) -> Target:
        if each.override:
            body = self._body or b""
            self._body = await beside(len(body), merged, body, each.override, header=FALLBACKS)
        return Target(
            route=route,
            headers=each.headers_for(self._forwarded),
            body=await self._fitted(route),
            index=index,
            codes=each.codes,
            following=index + 1 < len(self._ways),
        )


def _encoded(content_encoding: str | None) -> bool:
    return content_encoding is not None and content_encoding.strip().lower() not in {"", "identity"}
