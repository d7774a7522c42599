"""A lake in an object store that speaks S3: how its tables are opened, its files read, and DuckDB given a way to them.

Several sinks commit at once without a lock: a commit is a conditional PUT, which S3 has had since 2024, and MinIO, R2 and Ceph have too.
What is left unset is looked for where every S3 client looks: `AWS_…` variables, profile, role of the machine.
"""

from urllib.parse import urlsplit

from msgspec import Struct
from pyarrow import fs

SCHEME = "s3"


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

    def filesystem(self) -> fs.FileSystem:
        return fs.S3FileSystem(
            endpoint_override=self.endpoint_url,
            region=self.region,
            access_key=self.access_key_id,
            secret_key=self.secret_access_key,
            session_token=self.session_token,
        )


def folder_of(uri: str) -> str:
    """Bucket and path, as a filesystem takes them."""
    parts = urlsplit(uri)
    return f"{parts.netloc}{parts.path}".rstrip("/")
