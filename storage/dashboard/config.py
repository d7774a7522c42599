"""What the dashboard is told of its surroundings."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

Invoice = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Of a row of `calls`, its decimals as text, the arithmetic of its cost, as `GET /v1/calls/{id}/price` answers it."""


class DashboardConfig(Struct, frozen=True, kw_only=True):
    """Given once, when it is made."""

    proxy_port: int = 8787
    """For the first call's example."""
    secret: str | None = None
    """Sessions are sealed by it; None: by one that is drawn at every start."""
    public_url: str | None = None
    """Where browsers find this server; None: as each request found it."""
    version: str = ""
    invoice: Invoice | None = None
    """None: costs are shown without their arithmetic."""
