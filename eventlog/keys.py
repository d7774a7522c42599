"""Heliograph's own keys: whose they are, what they may, and how a caller is known by one. No key is kept, only its digest.

A key is `sk-helicone-` and 28 letters and digits in four groups; one that may only write begins with `pk-helicone-`. These are Helicone's
forms (its key patterns, read 2026-11): its clients check for them. The digits are 140 random bits, so a plain digest tells nobody the key.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from eventlog.events import DEFAULT_ORGANIZATION, Instant, Organization

GROUPS, GROUP = 4, 7
SHOWN = 16
"""So many characters of a key are kept to tell it from others; 20 bits of it are among them."""


class Scope(StrEnum):
    """What a key may do."""

    WRITE = "write"
    """Make calls, log, judge."""
    READ = "read"
    """Ask."""
    ADMIN = "admin"
    """Everything, and see what is decided."""


class ApiKey(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="decision", tag="api-key"):
    """A key as it is known here. What was decided last under its id counts."""

    id: str
    """Names it without telling it."""
    name: str
    """What people call it."""
    digest: str
    """SHA-256 of the key, in hex."""
    shown: str
    """Its first characters."""
    scopes: tuple[Scope, ...] = (Scope.WRITE, Scope.READ)
    """What it may do."""
    organization: Organization = DEFAULT_ORGANIZATION
    """Whose calls are made with it."""
    created_at: Instant
    """When it was made."""
    expires_at: Instant | None = None
    """From then on it is nobody's; None: never. A `KeyEnd` of its own may bring it forward."""
    revoked_at: Instant | None = None
    """Since then it is nobody's. Told by a `Revocation` of its own; in the key's own record only where that is an old one."""
    defaults: dict[str, str] = {}
    """Headers that a call with it has unless it says otherwise, by their name as people write it."""
    limits: tuple[str, ...] = ()
    """Policies that hold for all calls with it, on top of what their headers ask for."""
    counted_as: str = ""
    """The first of the keys that it took the place of: their calls count together for these."""

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def ended(self, now: datetime) -> str | None:
        """Why it is nobody's any more: `revoked`, `expired`; None while it is good."""
        if self.revoked_at is not None:  # whatever the clocks say
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return None


class Revocation(Struct, frozen=True, kw_only=True, tag_field="decision", tag="revocation"):
    """A key that is nobody's any more, whatever is decided of it later or at the same moment."""

    id: str
    """The key's."""
    revoked_at: Instant


class KeyEnd(Struct, frozen=True, kw_only=True, tag_field="decision", tag="key-end"):
    """A key that is being replaced: when it ends, whatever is decided of it later or at the same moment."""

    id: str
    """The key's."""
    ends_at: Instant


class OrganizationDefaults(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="decision", tag="organization-defaults"):
    """Headers that all calls of an organization have, unless its key or the call says otherwise."""

    organization: Organization
    headers: dict[str, str] = {}


def drawn(scopes: Iterable[Scope]) -> str:
    """A new key."""
    letters = base64.b32encode(secrets.token_bytes(20)).decode().lower()[: GROUPS * GROUP]
    prefix = "pk" if set(scopes) == {Scope.WRITE} else "sk"
    return "-".join([prefix, "helicone", *(letters[place : place + GROUP] for place in range(0, GROUPS * GROUP, GROUP))])


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class Auth(StrEnum):
    """Who may call."""

    OPEN = "open"
    """Any key, or none. A key that is known decides the organization."""
    REQUIRED = "required"
    """Whoever has a good key."""
    PERMISSIVE = "permissive"
    """As Helicone: a call without a good key is forwarded, and nothing of it is kept."""


class NotAdmitted(Exception):
    """A caller who may not. `code` is stable; the message says what to do."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Caller(Struct, frozen=True):
    """Who calls. `key` is None where nobody had to say."""

    organization: Organization
    key: ApiKey | None = None


ANYBODY = Caller(DEFAULT_ORGANIZATION)

Keys = Mapping[str, ApiKey]
"""By digest."""


def admitted(auth: Auth, keys: Keys, presented: str | None, scope: Scope, now: datetime) -> Caller | None:
    """Who presents this key. None, under `permissive` alone: somebody whose call is forwarded and not kept. Raises NotAdmitted."""
    key = None if presented is None else keys.get(digest_of(presented))
    refusal = _refusal(key, presented, scope, now)
    if key is not None and refusal is None:
        return Caller(key.organization, key)
    match auth:
        case Auth.OPEN:
            return ANYBODY
        case Auth.PERMISSIVE:
            return None
    raise refusal or AssertionError


def _refusal(key: ApiKey | None, presented: str | None, scope: Scope, now: datetime) -> NotAdmitted | None:
    if presented is None:
        return NotAdmitted(401, "key_missing", "A Heliograph key is needed here: send Helicone-Auth: Bearer sk-helicone-…")
    if key is None:
        return NotAdmitted(401, "key_unknown", "This Heliograph key is not known here; `heliograph keys list` shows those that are.")
    if (why := key.ended(now)) is not None:
        return NotAdmitted(401, f"key_{why}", f"The Heliograph key {key.name!r} is {why}; ask for another.")
    if not key.may(scope):
        return NotAdmitted(
            403, "scope_missing", f"The Heliograph key {key.name!r} may not {scope.value}: it needs the scope `{scope.value}`."
        )
    return None
