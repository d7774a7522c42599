"""What people keep for those who look: queries that were saved, and properties that are not to be shown."""

from msgspec import Struct

from eventlog.events import Instant, Organization


class SavedQuery(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="decision", tag="saved-query"):
    """SQL under a name. What was decided last under its id counts."""

    id: str
    organization: Organization
    name: str
    sql: str
    created_at: Instant
    updated_at: Instant


class HiddenProperty(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="decision", tag="hidden-property"):
    """A key of properties that lists of keys leave out. Calls keep it."""

    organization: Organization
    key: str
    """In lower case."""
