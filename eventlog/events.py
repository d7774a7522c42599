"""The facts of LLM calls, as they travel on the log.

Every event is a frozen struct. On the wire it is one line of JSON whose `event` names it (`request-received`). A version of
a topic may gain optional fields; a field that changes its meaning is a new event. Unknown fields are ignored when reading, so
producers and consumers upgrade separately. Fields at their default are left out when writing.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, NewType

from msgspec import Meta, Struct

Instant = Annotated[datetime, Meta(tz=True)]
"""A time with its zone. One without is no event: nobody could say when it was."""

CallId = NewType("CallId", str)
"""One proxied call, made by the ingress, never reused. UUID version 7, so that ids sort by time."""

RequestId = NewType("RequestId", str)
"""What `Helicone-Id` answers: the client's `Helicone-Request-Id`, else the call id. An SDK that retries repeats it."""

Organization = NewType("Organization", str)

DEFAULT_ORGANIZATION = Organization("default")


class Outcome(StrEnum):
    """How a call ended, seen from the proxy."""

    COMPLETED = "completed"
    """The provider answered in full with a status below 400."""
    PROVIDER_ERROR = "provider_error"
    """The provider answered in full with a status of 400 or above."""
    UNREACHABLE = "unreachable"
    """No connection to the provider, or TLS or name resolution failed: no answer was begun."""
    TIMED_OUT = "timed_out"
    """A time limit passed: connecting, waiting for the first byte, or between two chunks."""
    INTERRUPTED_BY_PROVIDER = "interrupted_by_provider"
    """The provider began an answer, or took the request, and broke off."""
    INTERRUPTED_BY_CLIENT = "interrupted_by_client"
    """The client left before it had the whole answer."""
    RATE_LIMITED = "rate_limited"
    """Refused here by a rate limit of ours; the provider was not called."""
    REJECTED = "rejected"
    """Refused here for another reason (a bad directive, a refused target); the provider was not called."""
    ABANDONED = "abandoned"
    """The proxy died before the call ended; found later by a maintenance step."""


class Source(StrEnum):
    """How the fact of a call reached us."""

    PROXY = "proxy"
    """It passed through."""
    ASYNC_LOG = "async_log"
    """A client told of it afterwards."""
    OTLP = "otlp"
    """It came as an OpenTelemetry span."""


AFTERWARDS = frozenset({Source.ASYNC_LOG, Source.OTLP})
"""Calls that somebody told of; the rest passed through."""


class Step(StrEnum):
    """What was done in a session where no model was asked. Such a step is told of afterwards, as calls are."""

    TOOL = "tool"
    """A tool ran."""
    VECTOR_DB = "vector_db"
    """A vector database was asked."""
    DATA = "data"
    """Data was fetched, or worked on."""


class Body(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One side's bytes, decoded from their content encoding, as far as they were kept.

    `text` holds UTF-8 text; bytes that are no UTF-8 are in `base64` (RFC 4648, padded). At most one of the two is set; neither means
    empty or omitted. When `truncated`, `text` is the head and `tail` the last part of what passed; the middle is gone.
    """

    text: str | None = None
    """The body, or its head when truncated."""
    base64: str | None = None
    """The same, of bytes that are no UTF-8."""
    tail: str | None = None
    """The last part of a truncated body."""
    size: int = 0
    """Bytes that passed on the wire, before decoding, truncated or not."""
    content_type: str | None = None
    """As its header says."""
    truncated: bool = False
    """It was longer than what is kept."""
    omitted: bool = False
    """The caller asked that this body be not kept (`Helicone-Omit-Request`, `Helicone-Omit-Response`)."""
    undecodable: str | None = None
    """Why the content encoding could not be undone; the body is then as sent, in `base64`. Without that: why it is not kept."""


class Spend(Struct, frozen=True, kw_only=True):
    """A window of a rate limit that the call's cost counts for, once it is known."""

    ledger: str
    """Where the window is counted."""
    window: str
    """The window's id, in hex."""
    policy: str
    """The policy it is counted by."""


class CallFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a call when it begins. Both its events carry it, so that neither needs the other.

    Times are aware and UTC. URLs have no credentials: key-like query parameters are masked.
    """

    call_id: CallId
    """One proxied call: UUID version 7, never reused."""
    request_id: RequestId
    """What `Helicone-Id` answered. An SDK that retries repeats it; feedback names it."""
    organization: Organization = DEFAULT_ORGANIZATION
    """Whose call it is."""
    created_at: Instant
    """When the first byte of the request came."""
    provider: str
    """Lower-case name (`openai`, `anthropic`, `groq`), or the host of a target nobody knows."""
    method: str
    """HTTP method."""
    path: str
    """Path and masked query, as sent to the provider."""
    target_url: str
    """Origin and path as sent to the provider, masked."""
    model: str | None = None
    """The model asked for, from the request body."""
    model_override: str | None = None
    """`Helicone-Model-Override`: the name to price and show the call by."""
    cost_override: dict[str, str] = {}
    """`Helicone-Cost-Override`: rates of the caller's own, USD for a million tokens (`request`: for a call), in plain digits."""
    stream: bool = False
    """The request asked for a stream."""
    user_id: str | None = None
    """`Helicone-User-Id`."""
    session_id: str | None = None
    """`Helicone-Session-Id`."""
    session_name: str | None = None
    """`Helicone-Session-Name`."""
    session_path: str | None = None
    """`Helicone-Session-Path`."""
    properties: dict[str, str] = {}
    """`Helicone-Property-…` headers; names are lower-case."""
    prompt_id: str | None = None
    """`Helicone-Prompt-Id`."""
    prompt_version: str | None = None
    """`Helicone-Prompt-Version`."""
    prompt_inputs: dict[str, str] = {}
    """What was filled into the prompt, by name: the request's `helicone-prompt-input` tags."""
    traceparent: str | None = None
    """The request's W3C trace context."""
    source: Source = Source.PROXY
    """How the call reached Heliograph."""
    omit_request: bool = False
    """The request's body is not kept: the caller asked for that."""
    omit_response: bool = False
    """The same of the answer's."""
    spends: tuple[Spend, ...] = ()
    """Where its cost counts."""
    step: Step | None = None
    """What was done, where no model was asked; None of a model's call."""


class Try(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One time that a provider was asked, of a call that was allowed several."""

    origin: str
    """Who was asked: scheme, host and port."""
    status: int | None = None
    """HTTP status of its answer; None when there was none."""
    failure: str | None = None
    """Why there was no answer, as a code."""
    began_ms: float
    """From the first try's beginning to this one's."""
    took_ms: float
    """Until the head of the answer was there, or the error."""


class UsageSource(StrEnum):
    """Who counted the tokens."""

    PROVIDER = "provider"
    """The provider, in its answer."""
    ESTIMATED = "estimated"
    """We did, from the text."""


class TokenUsage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one call as they travel. None is *not known*, never zero. Parts are parts of `prompt` and `completion`."""

    prompt: int | None = None
    """The whole prompt, cached tokens included."""
    completion: int | None = None
    """The whole answer, reasoning included."""
    cache_read: int | None = None
    """Of the prompt: read from the provider's cache."""
    cache_write: int | None = None
    """Of the prompt: written to the provider's cache."""
    reasoning: int | None = None
    """Of the answer: reasoning."""
    audio_input: int | None = None
    """Of the prompt: audio."""
    audio_output: int | None = None
    """Of the answer: audio."""
    cache_write_5m: int | None = None
    """Of what was written to the cache: kept for five minutes."""
    cache_write_1h: int | None = None
    """Of what was written to the cache: kept for an hour."""
    audio_cache_read: int | None = None
    """Of what was read from the cache: audio."""
    image_input: int | None = None
    """Of the prompt: images."""
    image_output: int | None = None
    """Of the answer: images."""
    video_input: int | None = None
    """Of the prompt: video."""
    video_output: int | None = None
    """Of the answer: video."""
    citations: int | None = None
    """Of the answer: what the model read of its sources, where that is billed apart."""
    audio_seconds: str | None = None
    """Sound that is billed by its length, exact decimal text. No tokens."""
    web_searches: int | None = None
    """Searches in the web that are billed one by one. No tokens."""
    file_searches: int | None = None
    """The same of files that are kept at the provider."""
    source: UsageSource = UsageSource.PROVIDER
    """Who counted."""
    method: str | None = None
    """How we counted; or that what the provider counted is not all, because the answer broke off."""


class RequestReceived(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="request-received"):
    """A call began. Emitted when its request body has gone to the provider or has passed its limit."""

    call: CallFacts
    """What is known of the call."""
    request: Body = Body()
    """Its body."""
    redactions: dict[str, int] = {}
    """How often something was replaced in it, by the name of what replaced it."""


class ResponseCompleted(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="response-completed"):
    """A call ended, one way or another. Self-contained: a row is made from this alone."""

    call: CallFacts
    """What was known when it began, repeated."""
    completed_at: Instant
    """When the last byte of the answer had gone."""
    outcome: Outcome
    """How it ended."""
    status: int | None = None
    """HTTP status that the client was answered with; None when it left before any."""
    latency_ms: float
    """From the first byte of the request to the last of the answer."""
    ttft_ms: float | None = None
    """From the first byte of the request to the first of the answer's body; None when none came."""
    request_bytes: int = 0
    """Bytes of the request's body on the wire."""
    response: Body = Body()
    """The answer's body."""
    request: Body = Body()
    """The request's body once more, where the answer does not tell what was used: both are counted then. It comes to rest nowhere."""
    request_truncated: bool = False
    """The request's body was longer than what is kept."""
    attempts: int = 1
    """How often the provider was asked."""
    tries: tuple[Try, ...] = ()
    """Each of them, of a call that was allowed several."""
    fallback_index: int | None = None
    """Which fallback answered, from 0; None when there were none."""
    cache_hit: bool = False
    """Answered from Heliograph's own cache; the provider was not asked."""
    cache_reference_id: str | None = None
    """The call whose answer was given again."""
    redactions: dict[str, int] = {}
    """How often something was replaced in both bodies, by the name of what replaced it."""
    stated_cost_usd: str | None = None
    """What whoever told of the call says that it cost, exact decimal text."""
    stated_usage: TokenUsage | None = None
    """What whoever told of the call says that it used, where the answer does not tell it."""
    error: str | None = None
    """What went wrong, for people; never holds a body or a key."""


class FeedbackGiven(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="feedback-given"):
    """Somebody judged a call or a session, added properties to a call, or took a judgement back, after the fact.

    Of each rating, score, property and tag the newest act counts.
    """

    feedback_id: str
    """One act of judging, never reused."""
    request_id: RequestId
    """The request that is judged; empty where a session is."""
    session_id: str | None = None
    """The session that is judged, in the place of a request."""
    organization: Organization = DEFAULT_ORGANIZATION
    """Whose request, or session, it is."""
    given_at: Instant
    """When."""
    rating: bool | None = None
    """Good or bad; None when it says nothing of that, or takes it back."""
    rating_retracted: bool = False
    """The rating given before is taken back."""
    comment: str | None = None
    """What a person says beside the rating."""
    scores: dict[str, float] = {}
    """Named numbers."""
    scores_retracted: list[str] = []
    """The names of scores that are taken back."""
    properties: dict[str, str] = {}
    """Properties added to the call."""
    tag: str | None = None
    """The session's tag; an empty one takes it back."""

    @property
    def key(self) -> str:
        """What it is partitioned by: a call and its judgements are in one partition."""
        return self.request_id or self.session_id or ""


class PriceBasis(StrEnum):
    """What a call's cost rests on, or that it is not known."""

    LIST = "list"
    """The price list that came with the program."""
    OWN = "own"
    """Rates that were set for the organization, in `prices.toml` or by `heliograph prices set`."""
    CALL = "call"
    """Rates that the call itself stated: `Helicone-Cost-Override`."""
    STATED = "stated"
    """The provider says what it charged, or whoever logged the call afterwards what it cost."""
    LOCAL = "local"
    """It ran on hardware of one's own, and nobody bills it."""
    FREE = "free"
    """Providers bill no call of its kind."""
    ELSEWHERE = "elsewhere"
    """What it tells is billed with another call."""
    CACHE = "cache"
    """Answered from our own cache."""
    UNKNOWN = "unknown"
    """Nobody knows what it cost; `price_source` says why."""


class Job(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Work that goes on after the answer, such as a batch: it is billed once, and may be told of often."""

    id: str
    """The provider's id of it."""
    cost_usd: str | None = None
    """What it cost, exact decimal text, where the call tells what it used and that is billed with another call."""
    price_source: str | None = None
    """Where the price came from, or why there is none."""
    price_basis: PriceBasis = PriceBasis.UNKNOWN
    """What the cost rests on."""
    rates: dict[str, str] = {}
    """The rates in force for it, as of a call."""


class CallPriced(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="call-priced"):
    """A call as it was understood: its facts, its end, its tokens and what they cost. No bodies."""

    call: CallFacts
    """What was known when it began."""
    completed_at: Instant
    """When the last byte of the answer had gone."""
    outcome: Outcome
    """How it ended."""
    status: int | None = None
    """HTTP status that the client was answered with."""
    latency_ms: float
    """From the first byte of the request to the last of the answer."""
    ttft_ms: float | None = None
    """From the first byte of the request to the first of the answer's body."""
    dialect: str | None = None
    """The shape the bodies were read by (`openai.chat`, `anthropic.messages`); None when no dialect claimed the call."""
    model: str | None = None
    """The name the call is shown and priced by: override, else answered, else asked for."""
    response_model: str | None = None
    """The model that answered, as the provider names it."""
    usage: TokenUsage | None = None
    """Its tokens; None when not known."""
    cost_usd: str | None = None
    """Exact decimal text; None when not known."""
    price_source: str | None = None
    """Where the price came from, or why there is none."""
    price_basis: PriceBasis | None = None
    """What the cost rests on. None: an earlier version wrote this, which kept too little for the call to be priced again."""
    rates: dict[str, str] = {}
    """The rates in force for this call, USD in plain digits: `input_mtok` for a million tokens of the prompt, and so on."""
    price_context: dict[str, str] = {}
    """What beside the model decided the price, such as `service_tier`."""
    stated_cost_usd: str | None = None
    """What the provider, or whoever told of the call, says that it cost, exact decimal text, whether or not that was taken."""
    price_note: str | None = None
    """What the call and its answer say against any list's price: why nothing is billed, or why tokens do not tell it all."""
    job: Job | None = None
    """The work that the call began or asked after, where that is billed once."""
    cost_saved_usd: str | None = None
    """What the answer from our cache would have cost, exact decimal text."""
    finish_reason: str | None = None
    """Why the model stopped, as the provider says it."""
    request_bytes: int = 0
    """Bytes of the request's body on the wire."""
    response_bytes: int = 0
    """Bytes of the answer's body on the wire."""
    truncated: bool = False
    """A body was longer than what is kept."""
    attempts: int = 1
    """How often the provider was asked."""
    tries: tuple[Try, ...] = ()
    """Each of them, of a call that was allowed several."""
    fallback_index: int | None = None
    """Which fallback answered, from 0; None when there were none."""
    cache_hit: bool = False
    """Answered from Heliograph's own cache; the provider was not asked."""
    cache_reference_id: str | None = None
    """The call whose answer was given again."""
    redactions: dict[str, int] = {}
    """How often something was replaced in what is stored of its bodies, by the name of what replaced it."""
    error: str | None = None
    """What went wrong, for people."""


class CallScored(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="call-scored"):
    """A judgement, joined with the call it is about. The same `feedback.feedback_id` may come more than once."""

    feedback: FeedbackGiven
    """The judgement."""
    call: CallPriced | None = None
    """None: no call with that request id was seen for as long as the judgement was kept waiting."""


class DeadLetter(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="dead-letter"):
    """An event, or a whole message, that could not be understood, with enough to find it and to send it again."""

    topic: str
    """The topic that the event was read from."""
    partition: int
    """Its partition."""
    offset: int
    """The offset of its message."""
    index: int = 0
    """Which event of the message, from 0."""
    reason: str
    """Why it was put aside, as a code."""
    error: str
    """Why it was put aside, in words."""
    at: Instant
    """When the letter's message was appended to its topic."""
    payload: str | None = None
    """The event's line as text (UTF-8, invalid bytes replaced), cut to 64 KiB."""
    organization: Organization | None = None
    """Whose event it is, where that could be read."""
    call_id: CallId | None = None
    """Which call it is of, where that could be read."""


Event = RequestReceived | ResponseCompleted | FeedbackGiven | CallPriced | CallScored | DeadLetter
