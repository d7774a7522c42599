"""What an organization wants replaced in all that is stored of its calls: named detectors, and patterns of its own."""

from enum import Enum, StrEnum, auto

from msgspec import Struct

from eventlog.events import Instant, Organization


class Detector(StrEnum):
    """What is known how to find."""

    PROVIDER_KEYS = "provider-keys"
    """Keys of providers and of Heliograph, and tokens of GitHub, Slack, Hugging Face and AWS."""
    EMAIL = "email"
    """E-mail addresses."""
    CARD = "card"
    """Numbers of payment cards whose check digit is right."""
    PHONE = "phone"
    """Telephone numbers, written internationally or in common national ways."""


class Unheard(Enum):
    """In the place of a rule, where nobody knows which rules there are: the control topic was not reached yet, and there is no copy."""

    RULES = auto()


class Redaction(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="decision", tag="redaction"):
    """An organization's rule. What was decided last counts."""

    organization: Organization
    """Whose calls it is for."""
    detectors: tuple[str, ...] = ()
    """What is looked for: detectors. One of a later version is for whoever searches to refuse."""
    patterns: dict[str, str] = {}
    """And what besides: expressions of RE2 by the name that replaces their matches."""
    set_at: Instant
    """When it was set."""
