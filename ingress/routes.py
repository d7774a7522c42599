"""Where a request goes: a decision over its target, its Host and the target that its headers name.

Deciding once per (Host, first path segment) is enough, since nothing else of the path matters but `/v1/messages`; the decisions are
remembered in bounded tables.
"""

import re
from enum import StrEnum

from msgspec import Struct

from ingress.config import IngressConfig
from ingress.errors import BadRequest, BadTarget, UnknownRoute
from ingress.providers import ALIASES, GATEWAY, HOST_LABELS, ORIGINS, provider_at
from ingress.upstream import Origin

REMEMBERED = 1_024
REMEMBERED_BYTES = 256
MESSAGES = b"/v1/messages"


class Dialect(StrEnum):
    """The shape in which a client expects errors."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Place(Struct, frozen=True):
    """A provider and how to address it."""

    provider: str
    origin: Origin
    prefix: bytes = b""
    """Put before the path: the path of a configured upstream."""
    trusted: bool = False
    """Configured or built in: it may have a private address."""
    named: bool = False
    """By a caller, who may know of it what the operator told: it gets no key that is kept here for its own route."""
    known: bool = True
    """Its name is one of ours; the name of a caller's target is not, and must not become a metric's label."""


class Route(Struct, frozen=True):
    """One request's way."""

    place: Place
    target: bytes
    """Path and query as sent to the provider."""

    @property
    def anthropic(self) -> bool:
        return self.place.provider == "anthropic"


class _Crossing(Struct, frozen=True):
    """What a (Host, first segment) leads to: a place and the length of what is cut off the path, or both dialects under `/v1`."""

    place: Place | None
    cut: int = 0


_V1 = _Crossing(None)


_UPWARDS = re.compile(rb"^[^?]*(?:[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\?#;]|%2f|%5c|$)", re.IGNORECASE)
"""A part of a path that is `.` or `..`, however it is spelled: whoever was let in below an address must not leave it."""


class Router:
    """The routes of one configuration."""

    def __init__(self, config: IngressConfig) -> None:
        bases = ORIGINS | {ALIASES.get(name, name): url for name, url in config.upstreams.items()}
        self._places = {name: _place(name, url) for name, url in bases.items()}
        self._labels = HOST_LABELS if config.hosts is None else dict(config.hosts)
        self._openai, self._anthropic = self._places["openai"], self._places["anthropic"]
        self._crossings: dict[tuple[bytes, bytes], _Crossing] = {}
        self._named: dict[tuple[str, bool], Place] = {}

    @property
    def names(self) -> list[str]:
        """Every provider that `/<provider>` leads to."""
        return sorted(self._places)

    def route(self, target: bytes, host: bytes, *, anthropic: bool) -> Route:
        """The way of a request that names no target. `anthropic`: it has an `anthropic-version` header. Raises UnknownRoute, BadRequest."""
        segment = _first_segment(target)
        crossing = self._crossings.get((host, segment)) or self._cross(host, segment)
        place = crossing.place
        if place is None:
            place = self._anthropic if anthropic or target.startswith(MESSAGES) else self._openai
        rest = target[crossing.cut :] if crossing.cut else target
        if rest[:1] != b"/":
            rest = b"/" + rest
        if place.prefix and _UPWARDS.search(rest) is not None:
            raise BadRequest("The path may not lead upwards (..) where the upstream's address has a path of its own.", field="path")
        return Route(place, place.prefix + rest if place.prefix else rest)

    def route_to(self, header: str, url: str, target: bytes) -> Route:
        """The way to a target that the caller names: its origin and the request's path, less a leading `/gateway`. Raises BadTarget."""
        messages = target.startswith(MESSAGES)
        place = self._named.get((url, messages)) or self._name(header, url, messages=messages)
        rest = target
        if _first_segment(target) == b"gateway":
            rest = target[8:]
            rest = rest if rest[:1] == b"/" else b"/" + rest
        return Route(place, rest)

    def configured_at(self, place: Place) -> list[str]:
        """The providers that are configured at this place's origin, its own first."""
        names = [name for name, each in self._places.items() if each.origin == place.origin]
        return sorted(names, key=lambda name: name != place.provider)

    def _cross(self, host: bytes, segment: bytes) -> _Crossing:
        crossing = self._crossing(host, segment)
        if len(host) + len(segment) <= REMEMBERED_BYTES:
            _make_room(self._crossings)
            self._crossings[host, segment] = crossing
        return crossing

    def _crossing(self, host: bytes, segment: bytes) -> _Crossing:
        labelled = self._labels.get(_label(host), "")
        name = segment.decode("latin-1")
        if GATEWAY in (labelled, name):
            raise BadRequest(
                "This route needs the header Helicone-Target-URL: the origin to call, https://host", field="Helicone-Target-URL"
            )
        if labelled in self._places:
            return _Crossing(self._places[labelled])
        if segment == b"v1":
            return _V1
        place = self._places.get(ALIASES.get(name, name))
        if place is None:
            what = f"No provider is named {name[:60]!r}." if name else "This is the proxy of Heliograph; a path leads to a provider."
            raise UnknownRoute(f"{what} {self._advice()}", field="path")
        return _Crossing(place, 1 + len(segment))

    def _advice(self) -> str:
        return f"Use /v1, /<provider>/… with one of {', '.join(self.names)}, or the header Helicone-Target-URL."

    def _name(self, header: str, url: str, *, messages: bool) -> Place:
        try:
            origin, _ = Origin.parse(url)
            origin.netloc.encode("ascii" if origin.netloc.isascii() else "idna")
        except ValueError as error:
            raise BadTarget(f"{header}: {_fault(error)}. Expected https://host[:port]", field=header) from None
        own = self._own(origin, messages=messages)
        provider = provider_at(origin.host)
        if own is not None and provider == origin.host:  # nobody knows the host but the operator
            provider = own.provider
        place = Place(provider, origin, trusted=own is not None and not own.prefix, named=True, known=provider in self._places)
        if len(url) <= REMEMBERED_BYTES:
            _make_room(self._named)
            self._named[url, messages] = place
        return place

    def _own(self, origin: Origin, *, messages: bool) -> Place | None:
        """The provider that is configured there; of several, the one whose dialect is spoken."""
        there = [each for each in self._places.values() if each.origin == origin]
        spoken = self._anthropic if messages else self._openai
        return spoken if spoken in there else there[0] if there else None


def _fault(error: ValueError) -> str:
    return "the host is no host name" if isinstance(error, UnicodeError) else str(error)


def _place(name: str, url: str) -> Place:
    origin, prefix = Origin.parse(url)
    return Place(name, origin, prefix.encode(), trusted=True)


def _first_segment(target: bytes) -> bytes:
    end = target.find(b"/", 1)
    segment = target[1:end] if end > 0 else target[1:]
    return segment.split(b"?", 1)[0] if b"?" in segment else segment


def _label(host: bytes) -> str:
    """The first label of a Host that has more than one."""
    label, dot, _ = host.partition(b".")
    return label.decode("latin-1").lower() if dot else ""


def _make_room(table: "dict[tuple[bytes, bytes], _Crossing] | dict[tuple[str, bool], Place]") -> None:
    """Forgets everything once too much is remembered: cheap, and only whoever sends ever new names pays for it."""
    if len(table) >= REMEMBERED:
        table.clear()
