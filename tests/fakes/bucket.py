"""An object store on loopback: moto's server, and a bucket in it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyarrow import fs

from storage.config import S3Config
from tests.fakes.stack import free_port

BUCKET = "heliograph-lakes"


@dataclass
class Bucket:
    """A bucket, and who may use it."""

    config: S3Config

    @property
    def settings(self) -> dict[str, str]:
        """The same as settings of Heliograph."""
        return {
            "HELIOGRAPH_S3__ENDPOINT_URL": self.config.endpoint_url or "",
            "HELIOGRAPH_S3__REGION": self.config.region or "",
            "HELIOGRAPH_S3__ACCESS_KEY_ID": self.config.access_key_id or "",
            "HELIOGRAPH_S3__SECRET_ACCESS_KEY": self.config.secret_access_key or "",
        }

    def uri(self, name: str) -> str:
        return f"s3://{BUCKET}/{name}"


@contextmanager
def bucket() -> Iterator[Bucket]:
    """A new, empty one, until the block is left."""
    port = free_port()
    config = S3Config(endpoint_url=f"http://127.0.0.1:{port}", region="us-east-1", access_key_id="AKIATEST", secret_access_key="shh")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _make_bucket(config)
        yield Bucket(config)
    finally:
        server.terminate()
        server.wait(20)


def _make_bucket(config: S3Config) -> None:
    deadline = time.monotonic() + 60
    store = fs.S3FileSystem(
        endpoint_override=config.endpoint_url,
        region=config.region,
        access_key=config.access_key_id,
        secret_key=config.secret_access_key,
        allow_bucket_creation=True,
        connect_timeout=2,
    )
    while True:
        try:
            store.create_dir(BUCKET)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return
