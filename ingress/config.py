"""What an operator may set of the ingress. Values only: the environment is read elsewhere."""

import re
from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import urlsplit

from msgspec import Struct

from ingress.upstream import Origin

RESERVED = frozenset({"v1", "gateway", "healthz", "readyz", "metrics", "openapi.json"})


class Durability(StrEnum):
    """What a call waits for."""

    BUFFERED = "buffered"
    """Nothing: events follow within the linger time, and a kill -9 may lose that much."""
    STRICT = "strict"
    """Its request is on the log before the provider is called, its end before the client has it."""


class EmitterLimits(Struct, frozen=True, kw_only=True):
    """How events are gathered into batches, and how many may wait while the log takes none."""

    linger_s: float = 0.02
    batch_bytes: int = 256 << 10
    waiting_bytes: int = 64 << 20
    event_bytes: int = 31 << 20
    """An event above it gives up its body, before it is numbered: a log that refused it later would leave a hole. Topics take 32 MiB."""
    patience_s: float = 2.0
    """How long a strict call waits for the log before it is told that the log takes nothing."""


class ClientLimits(Struct, frozen=True, kw_only=True):
    """Towards clients."""

    head_bytes: int = 64 << 10
    head_s: float = 10.0
    """For a request's head, from its first byte to its last."""
    keep_alive_s: float = 75.0
    stalled_s: float = 300.0
    """A client that takes nothing of its answer for so long has left."""
    linger_s: float = 5.0
    linger_bytes: int = 16 << 20
    """For how long, and for how much, a client may go on sending after its connection's last answer."""
    drain_s: float = 30.0
    """At shutdown, for calls in flight to end."""


class AttemptLimits(Struct, frozen=True, kw_only=True):
    """How often a call may be made that asks for it."""

    retries: int = 10
    fallbacks: int = 10
    total_s: float = 600.0
    """So long all tries of a call may take together until an answer begins. OpenAI's and Anthropic's packages wait as long."""
    body_bytes: int = 16 << 20
    """A larger body is not kept at hand for a second try, nor changed."""


class RedisConfig(Struct, frozen=True, kw_only=True):
    """Where Redis is, and how it is asked. Raises ValueError for a URL that is none; what it says of it could be part of a password."""

    url: str
    """`redis://`, `rediss://` or `unix://`."""
    prefix: str = "heliograph"
    """Before all names there. Who shares it shares counts and answers."""
    timeout_s: float = 0.25
    """A call waits for it so long at most."""

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            _ = parts.port
            good = bool(parts.path if parts.scheme == "unix" else parts.scheme in {"redis", "rediss"} and parts.hostname)
        except ValueError:
            good = False
        if not good:
            raise ValueError("expected redis://:PASSWORD@HOST:6379/0, rediss://… or unix://…, the password percent-encoded")


class IngressConfig(Struct, frozen=True, kw_only=True):
    """Raises ValueError for an upstream that is no URL, or whose name cannot be a route."""

    upstreams: Mapping[str, str] = {}
    """Base URL by provider: in the place of the well-known one, or a provider of one's own."""
    hosts: Mapping[str, str] | None = None
    """Provider by first label of the Host header; None: Helicone's labels. `gateway` as provider means: the caller names the target."""
    body_limit: int = 8 << 20
    """Bytes of a decoded body that are kept, for each side of a call."""
    durability: Durability = Durability.BUFFERED
    strict_body_bytes: int = 1 << 20
    """Strict durability: a larger request is written down without its body."""
    emitter: EmitterLimits = EmitterLimits()
    clients: ClientLimits = ClientLimits()
    attempts: AttemptLimits = AttemptLimits()
    cache_entry_bytes: int = 8 << 20
    """A larger answer is passed on and not kept."""
    refuses_uncounted: bool = False
    """Calls with a limit are refused while they cannot be counted."""

    def __post_init__(self) -> None:
        for name, url in self.upstreams.items():
            if re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name) is None or name in RESERVED:
                raise ValueError(f"upstream {name!r}: a provider's name is lower-case letters, digits, - and _, and none of our own routes")
            try:
                Origin.parse(url)
            except ValueError as error:
                raise ValueError(f"upstream {name!r}: {error}; expected http(s)://host[:port][/prefix]") from error

    @property
    def strict(self) -> bool:
        return self.durability == Durability.STRICT
