"""What steers the lake and its sink."""

from datetime import timedelta

from msgspec import Struct

SCHEME = "s3"
"""Of a lake in an object store."""


class S3Config(Struct, frozen=True, kw_only=True):
    """Where the store is, and who asks."""

    endpoint_url: str | None = None
    """None: Amazon's own."""
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"S3Config(endpoint_url={self.endpoint_url!r}, region={self.region!r})"

    def options(self) -> dict[str, str]:
        """As delta-rs takes them."""
        known = {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_SESSION_TOKEN": self.session_token,
            "AWS_ALLOW_HTTP": "true" if (self.endpoint_url or "").startswith("http://") else None,
        }
        return {name: value for name, value in known.items() if value is not None}


class StorageConfig(Struct, frozen=True, kw_only=True):
    """Where the lake lies, and when what has arrived is written into it."""

    lake_uri: str
    """A directory of this machine, or `s3://bucket/path`."""
    s3: S3Config = S3Config()
    """For an `s3://` lake."""
    flush_seconds: float = 1.0
    """The oldest row waits at most this long before it is committed."""
    flush_rows: int = 50_000
    flush_bytes: int = 8 << 20
    """Of events waiting in memory. A single larger event passes all the same."""
    skip_expired: bool = False
    """Whether messages that the log forgot before the lake had them are given up, and reading goes on behind them."""
    mark_retention: timedelta = timedelta(days=30)
    """How long the marks of a producer that fell silent are kept: longer than log retention and a spill's greatest age together."""
    log_retention: timedelta = timedelta(hours=1)
    """How long Delta's own log is kept behind its newest checkpoint."""
    tombstone_grace: timedelta = timedelta(hours=1)
    """In whole hours: how long a file that was compacted away stays for those who still read it."""
    call_deadline: timedelta = timedelta(hours=1)
    """A call that began longer ago, and of whose end nothing is known, is abandoned."""
    maintenance_seconds: float = 30.0
    small_files: int = 24
    """A day with more small files than this is compacted."""
    target_file_bytes: int = 64 << 20
    settle_quiet: timedelta = timedelta(minutes=2)
    """A day that is over is settled once nothing was written to it for so long."""
