"""A provider's key, filled in for callers who send only their Heliograph key.

Only where every caller is known, only towards the configured origin of that provider, and only where the caller sent no credentials:
nobody else gets to use it, and no target that a caller names gets to see it.
"""

from collections.abc import Callable, Sequence

from eventlog.events import Organization
from ingress.cache import is_credential
from ingress.recording import Recording
from ingress.routes import Place, Router
from ingress.secrets import without_our_keys

Headers = Sequence[tuple[bytes, bytes]]
KeyFor = Callable[[Organization, str], str | None]
"""The key that an organization keeps here for a provider."""


def no_key(_organization: Organization, _provider: str) -> str | None:
    """Where none are kept."""
    return None


_NAMED = {"anthropic": b"x-api-key", "google": b"x-goog-api-key"}
"""Headers that providers want their keys in (their API references); all others take a bearer token."""
_WIDE, _NARROW = (b"x-goog-", b"x-amz-"), frozenset({b"x-goog-api-key", b"x-amz-security-token"})
"""Of these families hardly any header says who calls; Google's packages send some with every call."""
_NOBODYS = frozenset({b"cookie", b"x-prompt-cache-key"})
_IN_QUERY = (b"?key=", b"&key=")


class Provided:
    """`known_callers`: every caller is known by a key of its own now."""

    def __init__(self, key_for: KeyFor, known_callers: Callable[[], bool], router: Router) -> None:
        self._key_for, self._known_callers, self._router = key_for, known_callers, router

    def headers(self, recording: Recording, place: Place, headers: Headers, *, fallback: bool = False) -> Headers:
        """What is sent to `place`. `fallback`: it is one of a list, and the provider's own if it is at that origin."""
        if recording.key is None or not self._known_callers() or _has_credentials(without_our_keys(headers), recording.target):
            return headers
        providers = [place.provider] if place.trusted and not place.named else self._router.configured_at(place) if fallback else []
        for provider in providers:
            key = self._key_for(recording.organization, provider)
            if key is not None:
                recording.filled_in = key
                return [*headers, _header(provider, key)]
        return headers


def _has_credentials(headers: Headers, target: bytes) -> bool:
    return any(_says_who(name) for name, _ in headers) or any(part in target for part in _IN_QUERY)


def _says_who(name: bytes) -> bool:
    """To a provider. Whoever sends such a header wants no other key filled in."""
    if name.startswith(_WIDE):
        return name in _NARROW
    return name not in _NOBODYS and is_credential(name)


def _header(provider: str, key: str) -> tuple[bytes, bytes]:
    name = _NAMED.get(provider)
    return (b"authorization", b"Bearer " + key.encode()) if name is None else (name, key.encode())
