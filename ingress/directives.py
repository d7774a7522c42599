"""What a caller asks of us by `Helicone-…` headers: read once, here, into values.

Every `Helicone-…` header stays here. One that nobody knows, or that is not obeyed yet, is let through with a warning. One that is ours and
cannot be understood is a `BadDirective`, which names the header and the fix; only a request id that is none is replaced and warned of,
because Helicone's users rely on that. Source: Helicone's header directory and its proxy (read 2026-11-24).
"""

import re
from collections.abc import Callable, Sequence

from msgspec import Struct

from ingress.errors import BadDirective
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
    warning: str | None = None
    """What was let through although it was not understood."""

    @property
    def target(self) -> tuple[str, str] | None:
        """The target that the caller named, after the header that named it."""
        if self.api_base is not None:
            return "Helicone-OpenAI-Api-Base", self.api_base
        if self.target_url is not None:
            return "Helicone-Target-URL", self.target_url
        return None


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
        header = _BY_NAME.get(name)
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


def listed() -> list[Listed]:
    """Every header that we know: those that are obeyed, then those that are let through with a warning."""
    obeyed = [Listed(each.name, each.grammar, each.example, each.meaning, True) for each in HEADERS]
    return [*obeyed, *(Listed(name, "", "", _word(name.lower().encode()), False) for name in (*NOT_YET, *NEVER))]


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


def _shown(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


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
)
"""Those that are obeyed. `Helicone-Property-…` is one for each property, and any text."""

NOT_YET = (
    "Helicone-Fallbacks",
    "Helicone-Gateway-Body-Mapping",
    "Helicone-Cache-Enabled",
    "Helicone-Cache-Save",
    "Helicone-Cache-Read",
    "Helicone-Cache-Control",
    "Helicone-Cache-Bucket-Max-Size",
    "Helicone-Cache-Seed",
    "Helicone-Cache-Ignore-Keys",
    "Helicone-RateLimit-Policy",
    "Helicone-Retry-Enabled",
    "Helicone-Retry-Num",
    "Helicone-Retry-Factor",
    "Helicone-Retry-Min-Timeout",
    "Helicone-Retry-Max-Timeout",
    "Helicone-Prompt-Mode",
    "Helicone-Prompt-Version",
    "Helicone-Prompt-Name",
    "Helicone-Prompt-Format",
    "Helicone-Posthog-Key",
    "Helicone-Posthog-Host",
    "Helicone-Webhook-Enabled",
    "Helicone-Stream-Usage",
    "Helicone-Stream-Force-Format",
    "Helicone-Moderations-Enabled",
    "Helicone-LLM-Security-Enabled",
    "Helicone-Prompt-Security-Enabled",
    "Helicone-LLM-Security-Advanced",
    "Helicone-Token-Limit-Exception-Handler",
)
NEVER = (
    "Helicone-JWT",
    "Helicone-Org-Id",
    "Helicone-Target-Provider",
    "Helicone-Manual-Access-Key",
    "Helicone-RateLimit-Cost-Cents",
    "Helicone-Increase-Timeout",
    "Helicone-Experiment-Id",
    "Helicone-Experiment-Column-Id",
    "Helicone-Experiment-Row-Index",
    "Helicone-Node-Id",
    "Helicone-Lytix-Key",
    "Helicone-Lytix-Host",
)
"""Helicone's, of which `docs/compatibility.md` says `planned`, and `not planned`."""

_BY_NAME = {header.name.lower().encode(): header for header in HEADERS}
_SPELLED = {name.lower().encode(): name for name in (*NOT_YET, *NEVER)}
_ELSEWHERE = frozenset({b"helicone-auth"})
"""Read by others."""
