"""What a caller asks of us by `Helicone-…` headers: read once, here, into values.

Every `Helicone-…` header stays here. One that nobody knows, or that is not obeyed here, is let through with a warning. One that is ours and
cannot be understood is a `BadDirective`, which names the header and the fix; only a request id that is none is replaced and warned of,
because Helicone's users rely on that. Source: Helicone's header directory and its proxy (read 2026-11-24).
"""

import json
import re
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from eventlog.keys import ApiKey
from ingress.cache import CacheWish
from ingress.errors import BadDirective
from ingress.fallbacks import Fallback
from ingress.header_table import BY_NAME, ELSEWHERE, HEADERS, NEVER, SPELLED, TEXT, shown
from ingress.policies import Policy
from ingress.prompts import NAME as PROMPT_MODE
from ingress.prompts import PROPERTY as PROMPT_NAME
from ingress.prompts import Mode
from ingress.retries import Retries
from ingress.secrets import HINT, masked
from ingress.token_limits import NAME as TOKEN_LIMIT
from ingress.token_limits import Handler
from ingress.upstream import Origin

MOST_EXPLAINED = 8_192
"""Bytes of `Helicone-Debug`: clients take heads of 16 KiB, some of less."""
MOST_TOLD = 3
"""So many headers a warning names."""
PREFIX = b"helicone-"
STRIPE_CUSTOMER = "stripe_customer_id"
"""The property that `x-stripe-customer-id` is copied to."""
_PROPERTY = b"helicone-property-"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)


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
    prompt_version: str | None = None
    prompt_name: str | None = None
    """Among the properties too."""
    prompt_mode: Mode | None = None
    model_override: str | None = None
    cost_override: Mapping[str, str] = {}
    omit_request: bool = False
    omit_response: bool = False
    retry_enabled: bool = False
    retry_num: int | None = None
    retry_factor: float | None = None
    retry_min_ms: int | None = None
    retry_max_ms: int | None = None
    fallbacks: tuple[Fallback, ...] = ()
    stream_usage: bool = False
    force_format: bool = False
    token_limit: Handler | None = None
    rate_limit: Policy | None = None
    cache_enabled: bool = False
    cache_read: bool | None = None
    cache_save: bool | None = None
    """As `cache_enabled` says, where nothing is said of them."""
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
            raise BadDirective(
                "Helicone-Retry-Min-Timeout is longer than Helicone-Retry-Max-Timeout; an example: 1000, and 10000",
                field="Helicone-Retry-Min-Timeout",
            )
        return Retries(
            more=usual.more if self.retry_num is None else self.retry_num,
            factor=usual.factor if self.retry_factor is None else self.retry_factor,
            least_s=least_s,
            most_s=most_s,
        )

    @property
    def cache(self) -> CacheWish | None:
        """None where the cache is left alone."""
        read = self.cache_enabled if self.cache_read is None else self.cache_read
        save = self.cache_enabled if self.cache_save is None else self.cache_save
        if not (read or save):
            return None
        return CacheWish(
            read=read,
            save=save,
            slots=self.cache_slots,
            seed=self.cache_seed or "",
            ignored=self.cache_ignored,
        )

    @property
    def untags(self) -> bool:
        """Tags of prompts are taken out of the body."""
        if self.prompt_mode is None:
            return self.prompt_id is not None
        return self.prompt_mode is not Mode.DEACTIVATED

    @property
    def needs_body(self) -> str | None:
        """The header for which the whole body must be here before the provider is called; None where it may stream."""
        if self.fallbacks:
            return "Helicone-Fallbacks"
        if self.stream_usage:
            return "Helicone-Stream-Usage"
        if self.moderate:
            return "Helicone-Moderations-Enabled"
        if self.cache is not None:
            return "Helicone-Cache-Enabled"
        if self.token_limit is not None:
            return TOKEN_LIMIT
        if self.retry_enabled and self.retry_num != 0:
            return "Helicone-Retry-Enabled"
        return PROMPT_MODE if self.untags else None


NOTHING = Directives()


class Listed(Struct, frozen=True):
    """A header as `GET /v1/directives` lists it."""

    header: str
    grammar: str
    example: str
    meaning: str
    obeyed: bool


BESIDE = (
    Listed("Helicone-Auth", "`Bearer` and a key", "Bearer sk-helicone-…", "Says who calls, and so whose the call is.", True),
    Listed("Helicone-Property-NAME", TEXT, "production", "`properties['name']`, the name in lower case. One for each property.", True),
    Listed("Cache-Control", "as RFC 9111 has it", "max-age=3600", "How long a cached answer counts; `no-cache` wants a fresh one.", True),
    Listed("x-stripe-customer-id", TEXT, "cus_123", "The property `stripe_customer_id`. The provider gets it too.", True),
)
"""Headers that are read by others than the table's reader."""


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
            said[header.field] = header.read(name.decode("latin-1"), text_of(raw) if header.masked else plain_text_of(raw))
        elif name.startswith(_PROPERTY):
            if len(name) > len(_PROPERTY):
                properties[text_of(name[len(_PROPERTY) :])] = text_of(raw)
        elif name not in ELSEWHERE:
            strange.append(name)
    if said.get("prompt_name") is not None:
        properties.setdefault(PROMPT_NAME, str(said["prompt_name"]))
    warnings = _settled_request_id(said) if "request_id" in said else []
    if strange:
        warnings += _told(strange)
    return Directives(properties=properties, warning="; ".join(warnings) or None, **said)  # type: ignore[arg-type]


def with_property(directives: Directives, name: str, value: str) -> Directives:
    """What the caller said of it by a header of its own stands."""
    return replace(directives, properties={name: value} | directives.properties)


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
    return [*obeyed, *BESIDE, *(Listed(name, "", "", _word(name.lower().encode()), False) for name in NEVER)]


def understood(directives: Directives) -> dict[str, object]:
    """What was said, by field, for its caller to see: in plain values, and without a provider's key."""
    said = {name: getattr(directives, name) for name in directives.__struct_fields__}
    told = {name: value for name, value in said.items() if value != getattr(NOTHING, name)}
    told |= {name: _origin_of(str(told[name])) for name in ("target_url", "api_base") if name in told}
    if directives.fallbacks:
        told["fallbacks"] = [{"target-url": _origin_of(each.url), "onCodes": each.codes} for each in directives.fallbacks]
    if directives.rate_limit is not None:
        told["rate_limit"] = str(directives.rate_limit)
    return told


def explained(told: Mapping[str, object]) -> bytes:
    """As JSON, of at most `MOST_EXPLAINED` bytes: what is longest is left out then, and `cut` names it."""
    lengths = {name: len(_json(value)) for name, value in told.items()}
    longest, cut, text = sorted(lengths, key=lambda name: lengths[name]), [], _json(told)
    while len(text) > MOST_EXPLAINED:
        cut.append(longest.pop())
        text = _json({name: value for name, value in told.items() if name not in cut} | {"cut": cut})
    return text


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _origin_of(url: str) -> str:
    """All of it that counts; the rest may hold a password."""
    try:
        return str(Origin.parse(url)[0])
    except ValueError:
        return "no URL"


def text_of(raw: bytes) -> str:
    """A header's value: UTF-8 where it is that, else Latin-1, which is what HTTP said for thirty years. Keys of ours are masked."""
    return plain_text_of(masked(raw) if HINT in raw else raw)


def plain_text_of(raw: bytes) -> str:
    """The same, with keys of ours in it."""
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
    if name in SPELLED:
        return f"{SPELLED[name]} is not obeyed"
    return f"{shown(text_of(name))[:64]} is not known here"
