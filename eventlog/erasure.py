"""The right to be forgotten: what is not to come to rest any more, though it may still lie on a log, or in a spill.

An erasure stands on the control topic for as long as anything of before can come. It names nobody: what it is about stands there as a
salted digest, by which an event that comes is known.
"""

import re
import secrets
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import TypeVar

import msgspec
from msgspec import Struct

from eventlog.events import DEFAULT_ORGANIZATION, CallFacts, DeadLetter, FeedbackGiven, Instant, Organization

S = TypeVar("S", bound=Struct)


class About(StrEnum):
    """What an erasure is about."""

    USER = "user"
    REQUEST = "request"
    SESSION = "session"
    ORGANIZATION = "organization"
    FEEDBACK = "feedback"
    """Judgements by their own ids: of calls that were erased, and that nobody can ask any more whose they were."""


class Erasure(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="decision", tag="erasure"):
    """What was made until `before`, of an organization, and in it of whom `digests` tell, is erased."""

    id: str
    organization: Organization
    about: str
    """One of `About`. One of a later version is about nothing here."""
    salt: str
    """Hex."""
    digests: tuple[str, ...] = ()
    """Of what it is about; none of an organization."""
    properties: tuple[str, ...] = ()
    """Properties whose value names the user too."""
    before: Instant
    until: Instant
    """Nothing of before can come any more then."""

    def names(self, value: str | None) -> bool:
        """Whether it is about this."""
        return value is not None and digest_of(self.salt, value) in self.digests

    def covers_call(self, call: CallFacts) -> bool:
        if call.organization != self.organization or call.created_at > self.before:
            return False
        match self.about:
            case About.ORGANIZATION:
                return True
            case About.USER:
                return self.names(call.user_id) or any(self.names(call.properties.get(key)) for key in self.properties)
            case About.REQUEST:
                return self.names(call.request_id)
            case About.SESSION:
                return self.names(call.session_id)
        return False

    def covers_feedback(self, given: FeedbackGiven) -> bool:
        """By itself. Whose the call is that it judges, it does not tell."""
        if given.organization != self.organization or given.given_at > self.before:
            return False
        match self.about:
            case About.ORGANIZATION:
                return True
            case About.REQUEST:
                return self.names(given.request_id)
            case About.SESSION:
                return self.names(given.session_id)
            case About.FEEDBACK:
                return self.names(given.feedback_id)
        return False

    def covers_letter(self, letter: DeadLetter) -> bool:
        """By what can be read of its event, as far as it is kept."""
        if letter.at > self.before:
            return False
        if self.about == About.ORGANIZATION and letter.organization == self.organization:
            return True
        return self.covers_line((letter.payload or "").encode())

    def covers_line(self, line: bytes) -> bool:
        """An event's line, whole or cut off, of whatever topic."""
        if (scored := read_as(line, _Scored)) is not None:
            return self.covers_call(scored.call.call) or self.covers_feedback(scored.feedback)
        if (called := read_as(line, Called)) is not None:
            return self.covers_call(called.call)
        if (given := read_as(line, FeedbackGiven)) is not None:
            return self.covers_feedback(given)
        return self._covers_piece(line)

    def _covers_piece(self, line: bytes) -> bool:
        """Of what is no event, or only the beginning of one, as `codec` writes them."""
        said = {name: _text(value) for name, value in _NAMED.findall(line)}
        if (said.get(b"organization") or DEFAULT_ORGANIZATION) != self.organization:
            return False
        if self.about == About.ORGANIZATION:
            return b"organization" in said
        field = _FIELDS.get(self.about)
        return field is not None and self.names(said.get(field))


class Called(Struct):
    """What a request, a response and a call that was priced have in common."""

    call: CallFacts


class _Scored(Struct):
    """A judgement with its call."""

    feedback: FeedbackGiven
    call: Called


def read_as(line: bytes, kind: type[S]) -> S | None:
    """None where it is nothing of that kind."""
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


_NAMED = re.compile(rb'"(user_id|request_id|session_id|organization)":("(?:[^"\\]|\\.)*")')
_FIELDS: dict[str, bytes] = {About.USER: b"user_id", About.REQUEST: b"request_id", About.SESSION: b"session_id"}


def _text(quoted: bytes) -> str | None:
    try:
        return msgspec.json.decode(quoted, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


@lru_cache(maxsize=1 << 16)
def digest_of(salt: str, value: str) -> str:
    """128 bits of a keyed BLAKE2b, as hex."""
    return blake2b(value.encode("utf-8", "surrogatepass"), key=bytes.fromhex(salt), digest_size=16).hexdigest()


def erasure(
    about: About, organization: Organization, values: Iterable[str], *, before: datetime, until: datetime, properties: Iterable[str] = ()
) -> Erasure:
    """One that is about these."""
    salt = secrets.token_hex(16)
    digests = tuple(digest_of(salt, value) for value in values)
    return Erasure(
        id=secrets.token_hex(8),
        organization=organization,
        about=about.value,
        salt=salt,
        digests=digests,
        properties=tuple(properties),
        before=before,
        until=until,
    )
