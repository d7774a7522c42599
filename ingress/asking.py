"""A call's way to its provider: asked once, as it came; or, where a header asks for that, changed, again, and elsewhere."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from ingress.attempts import Attempts, Target
from ingress.call import Call
from ingress.config import AttemptLimits, IngressConfig
from ingress.connection import Answer
from ingress.directives import Directives
from ingress.edits import merged, with_stream_usage
from ingress.errors import BadDirective, BodyTooLarge, UpstreamError
from ingress.intake import Intake
from ingress.limits import Limits
from ingress.routes import Route, Router
from ingress.upstream import Sender

Body = bytes | AsyncIterator[bytes] | None
"""All of it, or piece by piece, or there is none."""
Begins = Callable[[Call], Awaitable[None] | None]
"""Hears, before a provider is asked first, that the call begins; what it answers is waited for. Raises CallFailed."""


def check(directives: Directives, limits: AttemptLimits) -> None:
    """Raises BadDirective for more than the operator allows."""
    retries = directives.retries
    if retries is not None and retries.more > limits.retries:
        raise BadDirective(
            f"Helicone-Retry-Num may be at most {limits.retries} here (HELIOGRAPH_ATTEMPTS__RETRIES).", field="Helicone-Retry-Num"
        )
    if len(directives.fallbacks) > limits.fallbacks:
        raise BadDirective(
            f"Helicone-Fallbacks may list at most {limits.fallbacks} targets here (HELIOGRAPH_ATTEMPTS__FALLBACKS).",
            field="Helicone-Fallbacks",
        )


class Asking:
    """Asks providers for the calls of one process."""

    def __init__(self, config: IngressConfig, router: Router, intake: Intake, upstream: Sender, windows: Limits, begins: Begins) -> None:
        self._limits = config.attempts
        self._strict = config.strict
        self._router = router
        self._intake = intake
        self._upstream = upstream
        self._windows = windows
        self._begins = begins

    async def answer(self, call: Call, route: Route) -> Answer:
        """The provider's answer to the request. Raises CallFailed, ClientLeft."""
        recording = call.recording
        header, policy, key = recording.directives.needs_body, recording.directives.rate_limit, recording.key
        if header is None and policy is None and (key is None or not key.limits):
            return await self._once(call, route, await self._intake.body(call.exchange, recording))
        whole = header is not None or recording.directives.user_id is None  # the body may name the user
        body = await self._intake.body(call.exchange, recording, whole_bytes=self._limits.body_bytes if whole else 0)
        await self._windows.pass_(recording)
        if header is None:
            return await self._once(call, route, body)
        return await self._often(call, route, body, header)

    async def _once(self, call: Call, route: Route, body: Body) -> Answer:
        if self._strict or body is None or isinstance(body, bytes):
            began = self._begins(call)
            if began is not None:
                await began
        place = route.place
        return await self._upstream.send(
            place.origin,
            call.exchange.method,
            route.target,
            call.head.forwarded,
            body,
            content_length=call.head.content_length,
            trusted=place.trusted,
        )

    async def _often(self, call: Call, route: Route, body: Body, header: str) -> Answer:
        """As often, and at as many places, as the headers allow; `header` is one of them."""
        recording, limits = call.recording, self._limits
        if not (body is None or isinstance(body, bytes)):
            if header != "Helicone-Retry-Enabled":
                raise BodyTooLarge(
                    f"{header} needs a body of at most {limits.body_bytes} bytes (HELIOGRAPH_ATTEMPTS__BODY_BYTES).", field=header
                )
            recording.warn("not tried again: the body is larger than HELIOGRAPH_ATTEMPTS__BODY_BYTES")
            return await self._once(call, route, body)
        retries, targets = recording.directives.retries, self._targets(call, route, body)
        attempts = Attempts(retries, total_s=limits.total_s)
        recording.tries = attempts.tries
        try:
            chosen = await attempts.answer(targets, partial(self._try, call))
        except UpstreamError as error:
            recording.gave_up = retries is not None and error.retryable
            raise
        recording.gave_up = chosen.gave_up
        return chosen.answer

    def _targets(self, call: Call, route: Route, body: bytes | None) -> list[Target]:
        """Raises BadRequest."""
        directives, forwarded = call.recording.directives, call.head.forwarded
        if directives.stream_usage and body:
            body = with_stream_usage(body, header="Helicone-Stream-Usage")
        if not directives.fallbacks:
            return [Target(route=route, headers=forwarded, body=body)]
        targets = []
        for index, each in enumerate(directives.fallbacks):
            if each.override:
                body = merged(body or b"", each.override, header="Helicone-Fallbacks")
            way = self._router.route_to("Helicone-Fallbacks", each.url, call.recording.target)
            targets.append(Target(route=way, headers=each.headers_for(forwarded), body=body, index=index, codes=each.codes))
        return targets

    async def _try(self, call: Call, target: Target) -> Answer:
        recording = call.recording
        recording.fallback_index = target.index
        recording.goes_to(target.route, target.body)
        if not recording.tries:
            began = self._begins(call)
            if began is not None:
                await began
        place = target.route.place
        return await self._upstream.send(
            place.origin, call.exchange.method, target.route.target, target.headers, target.body, trusted=place.trusted
        )
