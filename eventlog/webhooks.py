"""A webhook: where an organization is told of its calls, of which of them, and how it knows that we tell it."""

import hashlib

from msgspec import Struct

from eventlog.events import CallPriced, Instant, Organization

ALL = 100.0
"""Percent of the calls."""
_PARTS = 1 << 53
"""Into so many a sample divides all calls: each is a number that a float has exactly."""


class PropertyIs(Struct, frozen=True, kw_only=True):
    """A property that a call must have, with this value."""

    key: str
    """In lower case, as headers deliver it."""
    value: str


class Webhook(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="decision", tag="webhook"):
    """As it was decided. What was decided last under its id counts."""

    id: str
    organization: Organization
    """Whose calls it hears of."""
    destination: str
    """An https or http URL. Its path and query may be secrets: no log and no letter has them."""
    hmac_key: str
    """What messages are signed with. Known to its organization."""
    link_key: str
    """What links to bodies are signed with. Known to nobody, and gone with the webhook."""
    sample_rate: float = ALL
    """Percent of the calls that it hears of."""
    property_filters: tuple[PropertyIs, ...] = ()
    """All must hold."""
    include_data: bool = True
    """Model, cost, tokens, latency and a link to the bodies are told besides."""
    created_at: Instant
    """It hears of what is understood from then on."""

    def __repr__(self) -> str:
        return f"Webhook(id={self.id!r}, organization={self.organization!r})"

    def wants(self, call: CallPriced) -> bool:
        """Whether it is to hear of this call. The same call always gets the same answer, wherever it is asked."""
        facts = call.call
        return (
            facts.organization == self.organization
            and all(facts.properties.get(each.key) == each.value for each in self.property_filters)
            and _drawn(self.id, facts.call_id) < self.sample_rate * _PARTS
        )


def _drawn(webhook: str, call: str) -> float:
    """A number of a call's own, from 0 up to 100 times the parts. Another webhook draws another sample."""
    digest = hashlib.blake2b(f"{webhook}\0{call}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) * ALL
