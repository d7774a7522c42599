"""What a question is answered with when it cannot be answered.

The codes are part of the product: programs branch on them, so they never change. The message says what is wrong, the fix what to do.
"""

from msgspec import Struct


class Refusal(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One error of the query port, as it is sent: `{"error": {"code", "message", "field", "fix"}}`."""

    code: str
    message: str
    fix: str
    field: str | None = None
    """The field of the request at fault."""
    position: int | None = None
    """Where in the SQL, counted in characters from 0."""
    status: int = 400
    """The HTTP status it is sent with."""


class Refused(Exception):
    """Carries a refusal to whoever asked. The caller must act; asking again changes nothing, unless the status is 503 or 504."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
