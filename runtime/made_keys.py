"""What is decided of keys: one is made, changed, replaced, taken away. Whoever decides brings the time."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from eventlog.control import Decision
from eventlog.events import Organization
from eventlog.keys import SHOWN, ApiKey, KeyEnd, Revocation, Scope, digest_of, drawn


def made(name: str, organization: Organization, scopes: Sequence[Scope], now: datetime, ends: datetime | None = None) -> tuple[str, ApiKey]:
    """A new key, as text, which nobody can tell again, and as it is kept."""
    text = drawn(scopes)
    key = ApiKey(
        id=f"key-{secrets.token_hex(8)}",
        name=name.strip(),
        digest=digest_of(text),
        shown=text[:SHOWN],
        scopes=tuple(dict.fromkeys(scopes)),
        organization=organization,
        created_at=now,
        expires_at=ends,
    )
    return text, key


def revoked(key: ApiKey, now: datetime) -> list[Decision]:
    """What is to be decided, that it is nobody's: nothing where it is so already."""
    return [Revocation(id=key.id, revoked_at=now)] if key.revoked_at is None else []


def changed(old: ApiKey, limits: tuple[str, ...], defaults: dict[str, str], *, clear: bool) -> ApiKey:
    """The key with these beside, or instead of, what it had."""
    kept_limits, kept_defaults = ((), {}) if clear else (old.limits, old.defaults)
    return replace(old, limits=tuple(dict.fromkeys((*kept_limits, *limits))), defaults=kept_defaults | defaults)


def rotated(old: ApiKey, now: datetime, overlap: timedelta) -> tuple[str, ApiKey, KeyEnd]:
    """A new key, as text and as it is kept, and the old one's end."""
    text, new = made(old.name, old.organization, old.scopes, now, old.expires_at)
    end = now + overlap
    new = replace(new, limits=old.limits, defaults=old.defaults, counted_as=old.counted_as or old.id)
    return text, new, KeyEnd(id=old.id, ends_at=min(end, old.expires_at or end))
