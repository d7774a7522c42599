"""Times as people write them, in options and in fields."""

import time
from datetime import UTC, datetime

from runtime.settings import Misconfigured


def now() -> datetime:
    """UTC."""
    return datetime.fromtimestamp(time.time(), UTC)


def moment_of(text: str) -> datetime:
    """ISO 8601, UTC unless it says otherwise. Raises ValueError that says what is expected."""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):  # the last hours of the year 9999, elsewhere
        raise ValueError("not a time. Write 2026-03-01 or 2026-03-01T12:30:00+02:00") from None


def moment(text: str | None, option: str) -> datetime | None:
    """A time as people write it: ISO 8601, UTC unless it says otherwise. Raises Misconfigured naming the option."""
    if text is None:
        return None
    try:
        return moment_of(text)
    except ValueError as error:
        raise Misconfigured(f"{option} {text}: {error}.") from None
