"""A lake in an object store that speaks S3: how its tables are opened, its files read, and DuckDB given a way to them.

Several sinks commit at once without a lock: a commit is a conditional PUT, which S3 has had since 2024, and MinIO, R2 and Ceph have too.
What is left unset is looked for where every S3 client looks: `AWS_…` variables, profile, role of the machine.
"""

from urllib.parse import urlsplit

from pyarrow import fs

from storage.config import S3Config


def filesystem(config: S3Config) -> fs.FileSystem:
    """For those who read and write files one by one."""
    return fs.S3FileSystem(
        endpoint_override=config.endpoint_url,
        region=config.region,
        access_key=config.access_key_id,
        secret_key=config.secret_access_key,
        session_token=config.session_token,
    )


def folder_of(uri: str) -> str:
    """Bucket and path, as a filesystem takes them."""
    parts = urlsplit(uri)
    return f"{parts.netloc}{parts.path}".rstrip("/")
