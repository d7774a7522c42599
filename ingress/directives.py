"""What a caller asks of us by `Helicone-…` headers: read once, here, into values.

Unknown ones are accepted and ignored, as every `Helicone-…` header stays here. One that is ours and cannot be understood is a
`BadDirective`, which names the header and the fix; only a request id that is none is replaced and warned of, because Helicone's
users rely on that. Source: Helicone's header directory and its proxy (read 2026-11-24).
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

Field = tuple[str, Callable[[str, str], object]]


def parse_directives(headers: Sequence[tuple[bytes, bytes]]) -> Directives:
    """The directives among `headers`, whose names are lower-case. Where one is sent twice, the last wins. Raises BadDirective."""
    if not headers:
        return NOTHING
    said: dict[str, object] = {}
    properties: dict[str, str] = {}
    for name, raw in headers:
        field = _FIELDS.get(name)
        if field is not None:
            said[field[0]] = field[1](name.decode("latin-1"), text_of(raw))
        elif name.startswith(_PROPERTY) and len(name) > len(_PROPERTY):
            properties[name[len(_PROPERTY) :].decode("latin-1")] = text_of(raw)
    if "request_id" in said:
        _settle_request_id(said)
    return Directives(properties=properties, **said)  # type: ignore[arg-type]


def text_of(raw: bytes) -> str:
    """A header's value: UTF-8 where it is that, else Latin-1, which is what HTTP said for thirty years. Keys of ours are masked."""
    if HINT in raw:
        raw = masked(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _settle_request_id(said: dict[str, object]) -> None:
    if _UUID.fullmatch(str(said["request_id"])) is None:
        said["request_id"] = None
        said["warning"] = "Helicone-Request-Id is no UUID; a new id was made, see Helicone-Id"
    else:
        said["request_id"] = str(said["request_id"]).lower()


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


_FIELDS: dict[bytes, Field] = {
    b"helicone-request-id": ("request_id", _exact),
    b"helicone-target-url": ("target_url", _exact),
    b"helicone-openai-api-base": ("api_base", _exact),
    b"helicone-user-id": ("user_id", _text),
    b"helicone-session-id": ("session_id", _text),
    b"helicone-session-name": ("session_name", _text),
    b"helicone-session-path": ("session_path", _text),
    b"helicone-prompt-id": ("prompt_id", _text),
    b"helicone-model-override": ("model_override", _text),
    b"helicone-omit-request": ("omit_request", _flag),
    b"helicone-omit-response": ("omit_response", _flag),
}
