"""`Helicone-Fallbacks`: targets to be asked in order, each with its own headers, until one answers as it should.

The shape is Helicone's (its proxy and its docs, "Gateway Fallbacks", read 2026-11): a JSON list of `target-url`, `headers`, `onCodes` and,
if one likes, `bodyKeyOverride`. A value of `headers` may be a provider's key: none is ever part of an error.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ingress.errors import BadDirective
from ingress.hops import CONTROLS, HOP_BY_HOP
from ingress.secrets import HINT, masked, without_our_key, without_our_keys

NAME = "Helicone-Fallbacks"
EXAMPLE = (
    '[{"target-url": "https://api.openai.com", "headers": {"Authorization": "Bearer sk-…"}, "onCodes": [401, {"from": 500, "to": 599}]}]'
)
DEEPEST = 32
"""So deep a `bodyKeyOverride` may be nested."""
FIELDS = frozenset({"target-url", "headers", "onCodes", "bodyKeyOverride"})
_NEVER = frozenset({b"host", b"content-length", b"expect", b"http2-settings"})
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_KEPT = frozenset({b"content-type", b"content-encoding"})
"""What the body is: a target that does not say it receives the request's own."""


class Fallback(Struct, frozen=True, kw_only=True):
    """One of the targets."""

    url: str
    headers: tuple[tuple[bytes, bytes], ...]
    """Instead of the request's; names are lower-case."""
    codes: tuple[tuple[int, int], ...]
    """Statuses, from and to, after which the next one is asked."""
    override: Mapping[str, Any] = {}
    """Merged into the JSON body, for this target and those after it."""

    def headers_for(self, forwarded: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """What is sent, `forwarded` being the request's."""
        own = {name for name, _ in self.headers}
        return [*self.headers, *(pair for pair in forwarded if pair[0] in _KEPT and pair[0] not in own)]


def parse_fallbacks(text: str) -> tuple[Fallback, ...]:
    """Raises BadDirective, which names the entry and the field."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise _bad("is no JSON") from None
    if not isinstance(found, list) or not found:
        raise _bad("must be a JSON list with at least one target")
    return tuple(_fallback(place, each) for place, each in enumerate(found))


def _fallback(place: int, said: Any) -> Fallback:
    if not isinstance(said, dict):
        raise _bad(f"[{place}] must be an object")
    if said.keys() - FIELDS:
        raise _bad(f"[{place}] has a field besides {', '.join(sorted(FIELDS))}")
    url, headers, codes, override = said.get("target-url"), said.get("headers"), said.get("onCodes"), said.get("bodyKeyOverride", {})
    if not isinstance(url, str):
        raise _bad(f"[{place}].target-url must be a URL")
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise _bad(f"[{place}].headers must be an object of texts")
    if not isinstance(codes, list):
        raise _bad(f"[{place}].onCodes must be a list of statuses and ranges of them")
    if not isinstance(override, dict) or _depth(override) > DEEPEST:
        raise _bad(f"[{place}].bodyKeyOverride must be an object, nested at most {DEEPEST} deep")
    return Fallback(
        url=masked(url.encode()).decode(),
        headers=_headers(_header(place, name, value) for name, value in headers.items() if not _stays(name)),
        codes=tuple(_range(place, each) for each in codes),
        override=_without_our_keys(override),
    )


def _headers(said: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """Less our keys: a header that is nothing but one is left out, so that the provider's can be filled in."""
    kept = [(name, without_our_key(value) if name == b"authorization" else value) for name, value in said]
    return tuple(without_our_keys([(name, value) for name, value in kept if value is not None]))


def _without_our_keys(override: dict[str, Any]) -> dict[str, Any]:
    plain = msgspec.json.encode(override)
    return msgspec.json.decode(masked(plain), type=dict[str, Any]) if HINT in plain else override


def _stays(name: str) -> bool:
    """Those that never go on: ours, and what belongs to a connection or a body's framing."""
    lower = name.lower().encode()
    return lower.startswith(b"helicone-") or lower in HOP_BY_HOP or lower in _NEVER


def _header(place: int, name: str, value: str) -> tuple[bytes, bytes]:
    if _TOKEN.fullmatch(name) is None:
        raise _bad(f"[{place}].headers has a name that no header may have")  # not said which: a key may have slipped there
    if CONTROLS.search(value):
        raise _bad(f"[{place}].headers has a value with control characters")
    return name.lower().encode(), value.strip(" \t").encode()


def _range(place: int, said: Any) -> tuple[int, int]:
    low, high = (said.get("from"), said.get("to")) if isinstance(said, dict) and said.keys() == {"from", "to"} else (said, said)
    if type(low) is not int or type(high) is not int or not 100 <= low <= high <= 599:
        raise _bad(f'[{place}].onCodes must hold statuses from 100 to 599, and ranges {{"from": 500, "to": 599}}')
    return low, high


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        level = [inner for each in level if isinstance(each, dict | list) for inner in (each.values() if isinstance(each, dict) else each)]
    return deepest


def _bad(wrong: str) -> BadDirective:
    joined = wrong if wrong.startswith("[") else f" {wrong}"
    return BadDirective(f"{NAME}{joined}; an example: {EXAMPLE}", field=NAME)
