"""What the page of models asks of prices. Whoever composes the app gives one as `app.state.pricing`; storage knows no price list."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from eventlog.events import Organization


class Rate(Struct, frozen=True):
    """USD in plain digits, for what."""

    usd: str
    unit: str
    """`a million tokens: prompt`."""
    name: str
    """As the price list has it: `input_mtok`."""


class InForce(Struct, frozen=True, kw_only=True):
    """What a call to a model would be priced by."""

    basis: str
    """`own`, `list`, `local`; `unknown` where there is no price."""
    source: str
    """Where the price comes from, else why there is none."""
    rates: tuple[Rate, ...] = ()
    steps: bool = False
    """Longer prompts have other rates."""


class Pricing(Protocol):
    def in_force(self, organization: Organization, provider: str, model: str, at: datetime) -> InForce:
        """By prices of one's own, then by the list."""

    def own(self, organization: Organization | None) -> Sequence[dict[str, Any]] | None:
        """Prices of one's own that an organization's calls may have, None: all; as `GET /v1/prices` shows them. None: not known yet."""
