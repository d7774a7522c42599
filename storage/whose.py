"""Whose rows a question is about: those of whoever asks, or what the operator names."""

from eventlog.events import Organization
from storage.refusal import Refusal, Refused

EVERY = "*"
"""Names all organizations at once. None can be called so."""


def whose(said: str, own: Organization, *, sees_all: bool) -> Organization | None:
    """The organization that was named, by default one's own; None: all. Names are compared as they are. Raises Refused."""
    if not said or (said == own and said != EVERY):
        return own
    if not sees_all:
        raise Refused(_FORBIDDEN)
    if "\0" in said or not _is_text(said):
        raise Refused(_NO_NAME)
    return None if said == EVERY else Organization(said)


def _is_text(said: str) -> bool:
    try:
        said.encode()
    except UnicodeEncodeError:
        return False
    return True


_FORBIDDEN = Refusal(
    code="organization_forbidden",
    message="This key sees the rows of its own organization alone.",
    fix="Leave organization away, or ask with a key that has the scope `admin`.",
    field="organization",
    status=403,
)
_NO_NAME = Refusal(
    code="invalid_field",
    message="organization is no name: it holds a NUL or half of a character.",
    fix="Name an organization, or * for all.",
    field="organization",
)
