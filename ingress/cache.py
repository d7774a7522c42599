"""What an answer is found again by, for how long, and what of it is kept: decisions, each a function of values.

Headers and numbers are Helicone's (its proxy's cache settings and its docs, "Caching", read 2026-11). The key is wider than its: everything
that may change an answer is in it, and whoever asks, by organization and by what the provider knows them by.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b, sha256

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from eventlog.events import Organization
from ingress.edits import fields_of
from ingress.errors import BadDirective
from ingress.secrets import is_secret_name

Headers = Sequence[tuple[bytes, bytes]]

CACHE_CONTROL = "Cache-Control"
USUAL_TTL_S = 7 * 86_400
LONGEST_TTL_S = 365 * 86_400
MOST_SLOTS = 20
MOST_PIECES = 65_536
"""Of one answer. Each takes some memory of its own, however small."""

VARYING = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"content-encoding",
        b"x-http-method-override",
        b"groq-model-version",
        b"anthropic-version",
        b"anthropic-beta",
        b"x-anthropic-beta",
        b"openai-organization",
        b"openai-project",
        b"openai-beta",
        b"x-goog-user-project",
        b"x-vertex-ai-llm-request-type",
        b"azureml-model-deployment",
        b"extra-parameters",
        b"x-ms-oai-image-generation-deployment",
    }
)
"""Headers of a request that change its answer.

Sources (read 2026-11): API references of OpenAI, Anthropic, OpenRouter and Azure AI model inference; Google, "System parameters" and
"Provisioned Throughput"; Azure, "Image generation tool".
"""
VARYING_PREFIXES = (b"x-amzn-bedrock-", b"x-amzn-sagemaker-", b"ai-")
"""Guardrails, traces, service tiers; variants of an endpoint. (Amazon, API references of InvokeModel and InvokeEndpoint, read 2026-11.)
Vercel's gateway is told the model, and whether to stream, by headers that begin with `ai-`.
"""
COOKIE = b"cookie"
CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", COOKIE})
_NO_CREDENTIALS = frozenset({b"idempotency-key", b"x-idempotency-key"})
_SHORT_LIVED = b"ya29."
"""Google's access tokens, new every hour."""
_SIGNED = re.compile(rb"AWS4-[A-Z0-9-]+ .*?Credential=([^/,\s]+)")
"""Amazon's signatures, new for every request; the access key's id stays."""
_PERSONAL = re.compile(
    rb"set-cookie2?|.*ratelimit.*|.*-organization(-id)?|.*-project(-id)?|www-authenticate|retry-after|x-should-retry|helicone-.*"
)
"""Headers of an answer that speak of whoever received it, or of that moment."""
_ASKING = frozenset({b"POST", b"GET"})
_PARTS = re.compile(rb"[/:]")
_CHANGING = frozenset(
    b"files uploads batches threads assistants vector_stores fine_tuning fine-tuning containers conversations evals cancel"
    b" batchpredictionjobs cachedcontents tunedmodels batchgeneratecontent async-invoke model-invocation-job skills".split()
)
"""Parts of a path that lead to what providers keep. (API references of OpenAI, Anthropic, Google, Amazon, Mistral, read 2026-11.)"""
_FRESH = re.compile(r"(?:^|[,\s])(no-cache|no-store)(?=$|[,;=\s])", re.IGNORECASE)
_MAX_AGE = re.compile(r"(?:^|[,\s])(s-maxage|max-age)\s*=\s*(\"?)([^,\s\"]*)\2", re.IGNORECASE)


class CacheWish(Struct, frozen=True, kw_only=True):
    """What a call asks of the cache."""

    read: bool
    save: bool
    replaces: bool = False
    """What is kept takes the place of another where there is no room beside it."""
    slots: int = 1
    """So many answers are gathered before any is given again."""
    seed: str = ""
    ignored: tuple[str, ...] = ()
    """Top-level keys of a JSON body that do not count."""


class Asked(Struct, frozen=True, kw_only=True):
    """A request, as far as its answer depends on it."""

    organization: Organization
    method: bytes
    url: bytes
    """With its query."""
    headers: Headers
    """As they go to the provider; names are lower-case."""
    body: bytes
    known: bool = False
    """The caller is known by a key of its own: credentials that change by the hour may count by what lasts of them."""
    elsewhere: bytes = b""
    """Where it may go besides, with what: fallbacks."""


def key_of(wish: CacheWish, asked: Asked) -> bytes:
    """32 bytes. Two requests share it when they are the same to whoever answers them."""
    parts: list[bytes] = [
        asked.organization.encode("utf-8", "surrogatepass"),
        wish.seed.encode("utf-8", "surrogatepass"),
        b"%d" % wish.slots,
        asked.method,
        asked.url,
        asked.elsewhere,
        body_that_counts(asked.body, wish.ignored),
    ]
    parts += [part for name, value in _that_count(asked.headers) for part in _counting(name, value, known=asked.known)]
    digest = sha256()
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()


def _that_count(headers: Headers) -> Headers:
    """Sorted. Cookies count where nothing else says who calls: balancers give a client another one with every answer."""
    named = any(name != COOKIE and is_credential(name) for name, _ in headers)
    return sorted(pair for pair in headers if pair[0] != COOKIE or not named)


def _counting(name: bytes, value: bytes, *, known: bool) -> tuple[bytes, ...]:
    if name in VARYING or name.startswith(VARYING_PREFIXES):
        return name, value
    return (name, credential_of(value, known=known)) if is_credential(name) else ()


@lru_cache(maxsize=1024)
def is_credential(name: bytes) -> bool:
    """Whether a header says who calls. Most providers want theirs in one of a few; any name of that kind is taken for one."""
    return name in CREDENTIALS or (name not in _NO_CREDENTIALS and is_secret_name(name.decode("latin-1")))


def credential_of(value: bytes, *, known: bool) -> bytes:
    """By what a provider knows the caller, in a form that is nobody's key. `known`: what lasts of it will do."""
    signed = _SIGNED.match(value) if known else None
    if signed:
        return b"signed by " + signed[1]
    if known and value.removeprefix(b"Bearer ").removeprefix(b"bearer ").startswith(_SHORT_LIVED):
        return b"short-lived"
    return blake2b(value, digest_size=32).digest()


def changes_something(method: bytes, target: bytes) -> bool:
    """Whether a call does more than ask a model, or looks at what changes by itself: its answer may not be given again."""
    return method not in _ASKING or any(part in _CHANGING for part in _PARTS.split(target.partition(b"?")[0].lower()))


def body_that_counts(body: bytes, ignored: Sequence[str]) -> bytes:
    """`body` without these keys; one that is no JSON object stays as it is."""
    if not ignored:
        return body
    fields = fields_of(body)
    if fields is None:
        return body
    for name in ignored:
        fields.pop(name, None)
    return msgspec.json.encode(fields)


def ttl_of(cache_control: str | None) -> int:
    """Seconds for which an answer may be given again: s-maxage, else max-age, else seven days. Raises BadDirective for no number."""
    found = {name.lower(): value for name, _, value in _MAX_AGE.findall(cache_control or "")}
    said = found.get("s-maxage", found.get("max-age"))
    if said is None:
        return USUAL_TTL_S
    if not (said.isascii() and said.isdigit()):
        raise BadDirective("Cache-Control must say whole seconds, such as max-age=3600", field="Cache-Control")
    return min(int(said[:12]), LONGEST_TTL_S)


def heeding(wish: CacheWish, cache_control: str) -> CacheWish:
    """`wish`, less what `Cache-Control` rules out.

    An age of 0 and `no-cache` want a fresh answer, which the latter has take the place of the one before; `no-store` one that is not kept.
    (RFC 9111, section 5.2.1.) Raises BadDirective.
    """
    said = {word.lower() for word in _FRESH.findall(cache_control)}
    read = wish.read and not said and ttl_of(cache_control) > 0
    save = wish.save and "no-store" not in said
    return replace(wish, read=read, save=save, replaces=save and "no-cache" in said)


def parse_ignored(name: str, text: str) -> tuple[str, ...]:
    """`request_id,timestamp`, as Helicone's docs write it, or `"request_id","timestamp"`, as its code reads it. Raises BadDirective."""
    plain = text.strip()
    if plain[:1] in {'"', "["}:
        try:
            return tuple(msgspec.json.decode(plain if plain[:1] == "[" else f"[{plain}]", type=list[str]))
        except msgspec.DecodeError:
            raise BadDirective(f"{name} must be a list of keys, such as request_id,timestamp", field=name) from None
    return tuple(part.strip() for part in plain.split(",") if part.strip())


def kept_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Those of an answer that may be given to somebody else, later."""
    return [(name, value) for name, value in headers if _PERSONAL.fullmatch(name.lower()) is None]


class Saving:
    """An answer that is to be kept, as it passes. One that grows beyond `limit_bytes`, or MOST_PIECES, is not."""

    def __init__(self, key: bytes, wish: CacheWish, ttl_s: int, limit_bytes: int) -> None:
        self.key, self.wish, self.ttl_s = key, wish, ttl_s
        self.pieces: list[bytes] = []
        self.size = 0
        self.over = False
        """Kept, or given up."""
        self._limit = limit_bytes

    def feed(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self._limit or len(self.pieces) >= MOST_PIECES:
            self.over = True
            self.pieces.clear()
        elif not self.over:
            self.pieces.append(piece)
