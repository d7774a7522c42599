"""What the dashboard is told of its surroundings."""

from msgspec import Struct


class DashboardConfig(Struct, frozen=True, kw_only=True):
    """Given once, when it is made."""

    proxy_port: int = 8787
    """For the first call's example."""
    secret: str | None = None
    """Sessions are sealed by it; None: by one that is drawn at every start."""
    public_url: str | None = None
    """Where browsers find this server; None: as each request found it."""
    version: str = ""
