"""A call's way to its provider: asked once, as it came; or, where a header asks for that, changed, again, and elsewhere."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

from ingress.attempts import Attempts, Target, TimeSpent, whole_of
from ingress.beside import beside
from ingress.cache import CACHE_CONTROL, Asked, CacheWish, changes_something, heeding, key_of, ttl_of
from ingress.caching import Cache
from ingress.call import Call
from ingress.config import AttemptLimits, IngressConfig
from ingress.connection import Answer
from ingress.directives import NOTHING, Directives
from ingress.errors import BadDirective, BodyTooLarge, UpstreamError
from ingress.intake import Intake
from ingress.limits import Limits
from ingress.moderation import ANSWER_BYTES, FOR_MODERATION, NAME, PATH, Flagged, categories_of, is_moderated, question_of
from ingress.prompts import NAME as PROMPT_MODE
from ingress.provided import Provided
from ingress.recording import Recording
from ingress.routes import Route, Router
from ingress.stored_prompts import StoredFor
from ingress.targets import Targets
from ingress.token_limits import NAME as TOKEN_LIMIT
from ingress.upstream import Sender

Body = bytes | AsyncIterator[bytes] | None
"""All of it, or piece by piece, or there is none."""
DISPENSABLE = frozenset({"Helicone-Retry-Enabled", "Helicone-Cache-Enabled", "Helicone-Stream-Usage", TOKEN_LIMIT, PROMPT_MODE})
"""Headers that are not obeyed where the body is too large to be kept at hand; for want of any other the call is refused."""
Begins = Callable[[Call], Awaitable[None] | None]
"""Hears, before a provider is asked first, that the call begins; what it answers is waited for. Raises CallFailed."""


def check(directives: Directives, limits: AttemptLimits) -> None:
    """Raises BadDirective for more than the operator allows."""
    retries = directives.retries
    if retries is not None and retries.more > limits.retries:
        raise BadDirective(
            f"Helicone-Retry-Num may be at most {limits.retries} here (HELIOGRAPH_ATTEMPTS__RETRIES), such as {min(3, limits.retries)}.",
            field="Helicone-Retry-Num",
        )
    if len(directives.fallbacks) > limits.fallbacks:
        raise BadDirective(
            f"Helicone-Fallbacks may list at most {limits.fallbacks} targets here (HELIOGRAPH_ATTEMPTS__FALLBACKS).",
            field="Helicone-Fallbacks",
        )


class Asking:
    """Asks providers for the calls of one process."""

    def __init__(
        self,
        config: IngressConfig,
        router: Router,
        intake: Intake,
        upstream: Sender,
        cache: Cache,
        provided: Provided,
        windows: Limits,
        begins: Begins,
        stored_for: StoredFor,
    ) -> None:
        self._limits = config.attempts
        self._strict = config.strict
        self._router = router
        self._intake = intake
        self._upstream = upstream
        self._cache = cache
        self._provided = provided
        self._windows = windows
        self._begins = begins
        self._stored_for = stored_for

    async def answer(self, call: Call, route: Route) -> Answer:
        """The provider's answer to the request. Raises CallFailed, ClientLeft."""
        recording, key = call.recording, call.recording.key
        directives = recording.directives
        header = None if directives is NOTHING else directives.needs_body
        if header is None and directives.rate_limit is None and (key is None or not key.limits):
            return await self._once(call, route, await self._intake.body(call.exchange, recording))
        whole = header is not None or (directives.user_id is None and self._windows.by_user(recording))  # the body may name the user
        body = await self._intake.body(call.exchange, recording, whole_bytes=self._limits.body_bytes if whole else 0)
        if not (body is None or isinstance(body, bytes)):
            self._check_stream(recording, header)
            await self._windows.pass_(recording)
            return await self._once(call, route, body)
        targets = Targets(recording, self._router, route, call.head.forwarded, body, self._stored_for)
        return await self._answer(call, await targets.next(), targets)

    async def _once(self, call: Call, route: Route, body: Body) -> Answer:
        """As it came."""
        if (self._strict or body is None or isinstance(body, bytes)) and (began := self._begins(call)) is not None:
            await began
        return await self._send(call, route, call.head.forwarded, body)

    def _check_stream(self, recording: Recording, header: str | None) -> None:
        """A body that is too large to be kept at hand. Raises BodyTooLarge where `header` cannot be obeyed then."""
        if header in DISPENSABLE or (header == NAME and not is_moderated(recording.target)):
            recording.warn(f"{header} is not obeyed: the body is larger than HELIOGRAPH_ATTEMPTS__BODY_BYTES")
        elif header is not None:
            raise BodyTooLarge(
                f"{header} needs a body of at most {self._limits.body_bytes} bytes (HELIOGRAPH_ATTEMPTS__BODY_BYTES).", field=header
            )

    async def _answer(self, call: Call, target: Target, others: Targets) -> Answer:
        """From the cache; else, where no limit stands in the way, from the first target that answers as it should."""
        recording = call.recording
        kept = await self._kept(call, target)
        if kept is not None:
            await recording.goes_to(target.route, target.body)
            if (began := self._begins(call)) is not None:
                await began
            return kept
        await self._windows.pass_(recording)
        if recording.directives.moderate:
            await self._moderate(call, target)
        retries = recording.directives.retries
        if retries is None and not target.following:
            return await self._try(call, target)
        attempts = Attempts(retries, total_s=self._limits.total_s)
        recording.tries = attempts.tries
        try:
            chosen = await attempts.answer(target, others.next, partial(self._try, call))
        except UpstreamError as error:
            again = retries is not None and error.retryable
            recording.gave_up = bool(recording.fallback_index) or again or isinstance(error, TimeSpent)
            raise
        recording.gave_up = chosen.gave_up
        return chosen.answer

    async def _kept(self, call: Call, target: Target) -> Answer | None:
        """An answer that was given before, where that is wished. Raises BadDirective."""
        recording, wish = call.recording, call.recording.directives.cache
        if wish is None:
            return None
        if changes_something(call.exchange.method, recording.target):
            recording.warn("Helicone-Cache-Enabled is not obeyed: the call is no question to a model")
            return None
        if not recording.kept:
            recording.warn("Helicone-Cache-Enabled is not obeyed: the call has no good Heliograph key")
            return None
        said = ", ".join(value.decode("latin-1") for name, value in call.head.forwarded if name == b"cache-control")
        if not said and recording.key is not None:
            said = recording.key.defaults.get(CACHE_CONTROL, "")
        key = await beside(len(target.body or b""), self._key, call, wish, target)
        return await self._cache.answer(recording, heeding(wish, said), key, ttl_of(said))

    async def _moderate(self, call: Call, target: Target) -> None:
        """Raises Flagged. A provider without such an endpoint, or one that does not answer, stands in nobody's way; the caller is told."""
        recording, place = call.recording, target.route.place
        if not is_moderated(recording.target):
            if call.exchange.method == b"POST":
                recording.warn(f"{NAME} is not obeyed: only chats are moderated")
            return
        body = target.body or b""
        question = await beside(len(body), question_of, body)
        if place.provider != "openai":
            recording.warn(f"{NAME} is not obeyed: it is OpenAI's endpoint, and the call goes elsewhere")
        if place.provider != "openai" or question is None:
            return
        headers = [pair for pair in self._provided.headers(recording, place, target.headers) if pair[0] in FOR_MODERATION]
        try:
            answer = await self._upstream.send(
                place.origin,
                b"POST",
                place.prefix + PATH,
                [*headers, (b"content-type", b"application/json")],
                question,
                trusted=place.trusted,
            )
            flagged = categories_of(await whole_of(answer, ANSWER_BYTES))
        except (UpstreamError, ValueError):
            recording.warn(f"{NAME} is not obeyed: the moderation endpoint did not answer")
            return
        if flagged is not None:
            raise Flagged(flagged)

    def _key(self, call: Call, wish: CacheWish, target: Target) -> bytes:
        """What the answer is kept by. Who may call by fallbacks is known by all of them."""
        recording = call.recording
        fallbacks = recording.directives.fallbacks
        return key_of(
            wish,
            Asked(
                organization=recording.organization,
                method=call.exchange.method,
                url=str(target.route.place.origin).encode() + target.route.target,
                headers=call.head.forwarded,
                body=target.body or b"",
                elsewhere=repr(fallbacks).encode("utf-8", "surrogatepass") if fallbacks else b"",
                known=recording.key is not None,
            ),
        )

    async def _try(self, call: Call, target: Target) -> Answer:
        recording = call.recording
        recording.fallback_index = target.index
        await recording.goes_to(target.route, target.body)
        if not recording.tries and (began := self._begins(call)) is not None:
            await began
        return await self._send(call, target.route, target.headers, target.body, fallback=target.index is not None)

    def _send(
        self, call: Call, route: Route, headers: Sequence[tuple[bytes, bytes]], body: Body, *, fallback: bool = False
    ) -> Awaitable[Answer]:
        place = route.place
        return self._upstream.send(
            place.origin,
            call.exchange.method,
            route.target,
            self._provided.headers(call.recording, place, headers, fallback=fallback),
            body,
            content_length=call.head.content_length,
            trusted=place.trusted,
        )
