"""What a caller asks of us by `Helicone-…` headers: read once, here, into values.

Every `Helicone-…` header stays here. One that nobody knows, or that is not obeyed yet, is let through with a warning. One that is ours and
cannot be understood is a `BadDirective`, which names the header and the fix; only a request id that is none is replaced and warned of,
because Helicone's users rely on that. Source: Helicone's header directory and its proxy (read 2026-11-24).
"""

import re
from collections.abc import Callable, Sequence

from msgspec import Struct

from eventlog.keys import ApiKey
from ingress.cache import MOST_SLOTS, CacheWish, parse_ignored
from ingress.errors import BadDirective
from ingress.fallbacks import EXAMPLE as FALLBACKS_EXAMPLE
from ingress.fallbacks import Fallback, parse_fallbacks
from ingress.policies import EXAMPLE as POLICY_EXAMPLE
from ingress.policies import Policy, parse_policy
from ingress.retries import Retries
from ingress.secrets import HINT, masked

PREFIX = b"helicone-"
_PROPERTY = b"helicone-property-"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0", ""})


class Directives(Struct, frozen=True, kw_only=True):
    """Everything that the headers of one call say to us."""

    request_id: str | None = None
    target_url: str | None = None
    api_base: str | None = None
    """As `target_url`; it wins where both are sent."""
    user_id: str | None = None
    session_id: str | None = None
    session_name: str | None = None
    session_path: str | None = None
    properties: dict[str, str] = {}
    """Keys are lower-case, as header names are."""
    prompt_id: str | None = None
    model_override: str | None = None
    omit_request: bool = False
    omit_response: bool = False
    retry_enabled: bool = False
    retry_num: int | None = None
    retry_factor: float | None = None
    retry_min_ms: int | None = None
    retry_max_ms: int | None = None
    fallbacks: tuple[Fallback, ...] = ()
    stream_usage: bool = False
    rate_limit: Policy | None = None
    cache_enabled: bool = False
    cache_read: bool = False
    cache_save: bool = False
    cache_slots: int = 1
    cache_seed: str | None = None
    cache_ignored: tuple[str, ...] = ()
    debug: bool = False
    moderate: bool = False
    warning: str | None = None
    """What was let through although it was not understood."""

    @property
    def target(self) -> tuple[str, str] | None:
        """The target that the caller named, or the first of several, after the header that named it."""
        if self.fallbacks:
            return "Helicone-Fallbacks", self.fallbacks[0].url
        if self.api_base is not None:
            return "Helicone-OpenAI-Api-Base", self.api_base
        if self.target_url is not None:
            return "Helicone-Target-URL", self.target_url
        return None

    @property
    def retries(self) -> Retries | None:
        """None when the call is made once. Raises BadDirective."""
        if not self.retry_enabled or self.retry_num == 0:
            return None
        usual = Retries()
        least_s = usual.least_s if self.retry_min_ms is None else self.retry_min_ms / 1000
        most_s = max(usual.most_s, least_s) if self.retry_max_ms is None else self.retry_max_ms / 1000
        if self.retry_min_ms is None:
            least_s = min(least_s, most_s)
        if least_s > most_s:
            raise BadDirective("Helicone-Retry-Min-Timeout is longer than Helicone-Retry-Max-Timeout", field="Helicone-Retry-Min-Timeout")
        return Retries(
            more=usual.more if self.retry_num is None else self.retry_num,
            factor=usual.factor if self.retry_factor is None else self.retry_factor,
            least_s=least_s,
            most_s=most_s,
        )

    @property
    def cache(self) -> CacheWish | None:
        """None where the cache is left alone."""
        if not (self.cache_enabled or self.cache_read or self.cache_save):
            return None
        return CacheWish(
            read=self.cache_enabled or self.cache_read,
            save=self.cache_enabled or self.cache_save,
            slots=self.cache_slots,
            seed=self.cache_seed or "",
            ignored=self.cache_ignored,
        )

    @property
    def needs_body(self) -> str | None:
        """The header for which the whole body must be here before the provider is called; None where it may stream."""
        if self.fallbacks:
            return "Helicone-Fallbacks"
        if self.stream_usage:
            return "Helicone-Stream-Usage"
        if self.moderate:
            return "Helicone-Moderations-Enabled"
        if self.cache_enabled or self.cache_read or self.cache_save:
            return "Helicone-Cache-Enabled"
        return "Helicone-Retry-Enabled" if self.retry_enabled and self.retry_num != 0 else None


NOTHING = Directives()

Reading = Callable[[str, str], object]
"""From a header's name, lower-case, and its value. Raises BadDirective."""


class Header(Struct, frozen=True):
    """A header that is understood."""

    name: str
    """As people write it."""
    field: str
    """Of `Directives`."""
    read: Reading
    grammar: str
    example: str
    meaning: str


class Listed(Struct, frozen=True):
    """A header as `GET /v1/directives` lists it."""

    header: str
    grammar: str
    example: str
    meaning: str
    obeyed: bool


def parse_directives(headers: Sequence[tuple[bytes, bytes]]) -> Directives:
    """The directives among `headers`, whose names are lower-case. Where one is sent twice, the last wins. Raises BadDirective."""
    if not headers:
        return NOTHING
    said: dict[str, object] = {}
    properties: dict[str, str] = {}
    strange: list[bytes] = []
    for name, raw in headers:
        header = BY_NAME.get(name)
        if header is not None:
            said[header.field] = header.read(name.decode("latin-1"), text_of(raw))
        elif name.startswith(_PROPERTY):
            if len(name) > len(_PROPERTY):
                properties[name[len(_PROPERTY) :].decode("latin-1")] = text_of(raw)
        elif name not in _ELSEWHERE:
            strange.append(name)
    warnings = _settled_request_id(said) if "request_id" in said else []
    if strange:
        warnings += _told(strange)
    return Directives(properties=properties, warning="; ".join(warnings) or None, **said)  # type: ignore[arg-type]


def with_defaults(headers: Sequence[tuple[bytes, bytes]], key: ApiKey | None) -> Sequence[tuple[bytes, bytes]]:
    """`headers`, and those of the key's defaults that are not among them."""
    if key is None or not key.defaults:
        return headers
    said = {name for name, _ in headers}
    defaults = ((name.lower().encode(), value.encode()) for name, value in key.defaults.items())
    return [*headers, *(pair for pair in defaults if pair[0] not in said)]


def listed() -> list[Listed]:
    """Every header that we know: those that are obeyed, then those that are let through with a warning."""
    obeyed = [Listed(each.name, each.grammar, each.example, each.meaning, True) for each in HEADERS]
    return [*obeyed, *(Listed(name, "", "", _word(name.lower().encode()), False) for name in (*NOT_YET, *NEVER))]


def understood(directives: Directives) -> dict[str, object]:
    """What was said, by field, for its caller to see: in plain values, and without a provider's key."""
    said = {name: getattr(directives, name) for name in directives.__struct_fields__}
    told = {name: value for name, value in said.items() if value != getattr(NOTHING, name)}
    if directives.fallbacks:
        told["fallbacks"] = [{"target-url": each.url, "onCodes": each.codes} for each in directives.fallbacks]
    if directives.rate_limit is not None:
        told["rate_limit"] = str(directives.rate_limit)
    return told


def text_of(raw: bytes) -> str:
    """A header's value: UTF-8 where it is that, else Latin-1, which is what HTTP said for thirty years. Keys of ours are masked."""
    if HINT in raw:
        raw = masked(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _settled_request_id(said: dict[str, object]) -> list[str]:
    """Makes nothing of one that is no UUID, and what is to be said of that."""
    if _UUID.fullmatch(str(said["request_id"])) is None:
        said["request_id"] = None
        return ["Helicone-Request-Id is no UUID; a new id was made, see Helicone-Id"]
    said["request_id"] = str(said["request_id"]).lower()
    return []


def _told(strange: Sequence[bytes]) -> list[str]:
    names = list(dict.fromkeys(strange))
    told = [_word(name) for name in names[:MOST_TOLD]]
    return [*told, f"and {len(names) - MOST_TOLD} more"] if len(names) > MOST_TOLD else told


def _word(name: bytes) -> str:
    if name in _SPELLED:
        return f"{_SPELLED[name]} is not obeyed{' yet' if _SPELLED[name] in NOT_YET else ''}"
    return f"{_shown(text_of(name))[:64]} is not known here"


def _text(_name: str, value: str) -> str | None:
    return value.strip() or None


def _exact(_name: str, value: str) -> str:
    return value.strip()


def _flag(name: str, value: str) -> bool:
    plain = value.strip().lower()
    if plain in _TRUE:
        return True
    if plain in _FALSE:
        return False
    raise BadDirective(f"{_shown(name)} must be true or false", field=_shown(name))


def _fallbacks(_name: str, value: str) -> tuple[Fallback, ...]:
    return parse_fallbacks(value)


def _ignored(name: str, value: str) -> tuple[str, ...]:
    return parse_ignored(_shown(name), value)


def _policy(_name: str, value: str) -> Policy:
    return parse_policy(value)


def _whole(least: int, most: int) -> Reading:
    def read(name: str, value: str) -> int:
        plain = value.strip()
        if plain.isascii() and plain.isdigit() and len(plain) <= DIGITS and least <= int(plain) <= most:
            return int(plain)
        raise BadDirective(f"{_shown(name)} must be a whole number from {least} to {most}, such as {least + 1}", field=_shown(name))

    return read


def _factor(name: str, value: str) -> float:
    if _DECIMAL.fullmatch(value.strip()) is not None and 1 <= float(value) <= MOST_FACTOR:
        return float(value)
    raise BadDirective(f"{_shown(name)} must be a number from 1 to {MOST_FACTOR:g}, such as 2 or 1.5", field=_shown(name))


def _shown(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


DIGITS = 9
_DECIMAL = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
MOST_FACTOR = 100.0
MOST_RETRIES = 1_000
"""Beyond a setting's limit in any case."""
LONGEST_PAUSE_MS = 600_000
MOST_TOLD = 3
"""So many headers a warning names."""
FLAG = "`true` or `false`"
TEXT = "any text"
ORIGIN = "an http or https URL"

HEADERS = (
    Header(
        "Helicone-Request-Id",
        "request_id",
        _exact,
        "a UUID",
        "0190a0b0-1111-4222-8333-444455556666",
        "The id that feedback names and `Helicone-Id` answers; other text is replaced by a new one, with a warning.",
    ),
    Header("Helicone-Target-URL", "target_url", _exact, ORIGIN, "https://api.groq.com", "Where the call goes: the origin alone counts."),
    Header(
        "Helicone-OpenAI-Api-Base",
        "api_base",
        _exact,
        ORIGIN,
        "https://mine.openai.azure.com",
        "As Helicone-Target-URL; it wins where both are sent.",
    ),
    Header("Helicone-User-Id", "user_id", _text, TEXT, "user-123", "Column `user_id`."),
    Header("Helicone-Session-Id", "session_id", _text, TEXT, "0190a0b0-2222-4222-8333-444455556666", "Column `session_id`."),
    Header("Helicone-Session-Name", "session_name", _text, TEXT, "Trip planner", "Column `session_name`."),
    Header("Helicone-Session-Path", "session_path", _text, "steps after `/`", "/plan/search", "Column `session_path`."),
    Header("Helicone-Prompt-Id", "prompt_id", _text, TEXT, "welcome", "Column `prompt_id`."),
    Header(
        "Helicone-Model-Override",
        "model_override",
        _text,
        "a model's name",
        "gpt-4o",
        "The name that the call is shown and priced by; the request stays as it is.",
    ),
    Header("Helicone-Omit-Request", "omit_request", _flag, FLAG, "true", "The request's body is not kept."),
    Header("Helicone-Omit-Response", "omit_response", _flag, FLAG, "true", "The answer's body is not kept; its tokens are counted."),
    Header(
        "Helicone-Retry-Enabled",
        "retry_enabled",
        _flag,
        FLAG,
        "true",
        "After a 429, a status from 500 on, or a failed connection, the provider is asked again.",
    ),
    Header("Helicone-Debug", "debug", _flag, FLAG, "true", "The answer says, in `Helicone-Debug`, what of its headers was understood."),
    Header(
        "Helicone-Moderations-Enabled",
        "moderate",
        _flag,
        FLAG,
        "true",
        "OpenAI's moderation endpoint is asked about the user's newest message; a call whose message it flags is not made.",
    ),
    Header("Helicone-Retry-Num", "retry_num", _whole(0, MOST_RETRIES), f"0 to {MOST_RETRIES}", "3", "So many tries after the first; 5."),
    Header("Helicone-Retry-Factor", "retry_factor", _factor, "1 to 100", "2", "Each pause is so many times the one before; 2."),
    Header(
        "Helicone-Retry-Min-Timeout",
        "retry_min_ms",
        _whole(0, LONGEST_PAUSE_MS),
        f"0 to {LONGEST_PAUSE_MS}",
        "1000",
        "Milliseconds of the first pause; 1000.",
    ),
    Header(
        "Helicone-Retry-Max-Timeout",
        "retry_max_ms",
        _whole(0, LONGEST_PAUSE_MS),
        f"0 to {LONGEST_PAUSE_MS}",
        "10000",
        "Milliseconds that a pause takes at most, unless Retry-After asks for more; 10000.",
    ),
    Header(
        "Helicone-Fallbacks",
        "fallbacks",
        _fallbacks,
        "a JSON list of `target-url`, `headers`, `onCodes`, `bodyKeyOverride`",
        FALLBACKS_EXAMPLE,
        "Targets that are asked in order, until one answers with none of its `onCodes`.",
    ),
    Header(
        "Helicone-Cache-Enabled",
        "cache_enabled",
        _flag,
        FLAG,
        "true",
        "An answer that was given before is given again; else this one is kept. `Cache-Control: max-age=N` says for how long; a week.",
    ),
    Header("Helicone-Cache-Read", "cache_read", _flag, FLAG, "true", "Given again, and not kept."),
    Header("Helicone-Cache-Save", "cache_save", _flag, FLAG, "true", "Kept, and not given again."),
    Header(
        "Helicone-Cache-Bucket-Max-Size",
        "cache_slots",
        _whole(1, MOST_SLOTS),
        f"1 to {MOST_SLOTS}",
        "3",
        "So many answers are gathered before any is given again, then one of them by chance; 1.",
    ),
    Header("Helicone-Cache-Seed", "cache_seed", _text, TEXT, "user-123", "Answers are kept apart by it."),
    Header(
        "Helicone-Cache-Ignore-Keys",
        "cache_ignored",
        _ignored,
        "names separated by commas, or a JSON list",
        "request_id,timestamp",
        "Top-level keys of the JSON body that do not count when an answer is looked for.",
    ),
    Header(
        "Helicone-RateLimit-Policy",
        "rate_limit",
        _policy,
        "`[quota];w=[seconds]`, then `;u=request` or `;u=cents`, then `;s=user` or `;s=[property]`",
        POLICY_EXAMPLE,
        "At most so many calls in any so many seconds: of everyone together, of each user, or of each value of a property.",
    ),
    Header(
        "Helicone-Stream-Usage",
        "stream_usage",
        _flag,
        FLAG,
        "true",
        "A request for a stream asks for its usage too (`stream_options.include_usage`).",
    ),
)
"""Those that are obeyed. `Helicone-Property-…` is one for each property, and any text."""

NOT_YET = (
    "Helicone-Gateway-Body-Mapping",
    "Helicone-Prompt-Mode",
    "Helicone-Prompt-Version",
    "Helicone-Prompt-Name",
    "Helicone-Prompt-Format",
    "Helicone-Posthog-Key",
    "Helicone-Posthog-Host",
    "Helicone-Webhook-Enabled",
    "Helicone-Token-Limit-Exception-Handler",
)
NEVER = (
    "Helicone-JWT",
    "Helicone-Org-Id",
    "Helicone-Cache-Control",
    "Helicone-Target-Provider",
    "Helicone-Manual-Access-Key",
    "Helicone-RateLimit-Cost-Cents",
    "Helicone-Increase-Timeout",
    "Helicone-Experiment-Id",
    "Helicone-Experiment-Column-Id",
    "Helicone-Experiment-Row-Index",
    "Helicone-Node-Id",
    "Helicone-Stream-Force-Format",
    "Helicone-LLM-Security-Enabled",
    "Helicone-Prompt-Security-Enabled",
    "Helicone-LLM-Security-Advanced",
    "Helicone-Lytix-Key",
    "Helicone-Lytix-Host",
)
"""Helicone's, of which `docs/compatibility.md` says `planned`, and `not planned`."""

BY_NAME = {header.name.lower().encode(): header for header in HEADERS}
_SPELLED = {name.lower().encode(): name for name in (*NOT_YET, *NEVER)}
_ELSEWHERE = frozenset({b"helicone-auth"})
"""Read by others."""
