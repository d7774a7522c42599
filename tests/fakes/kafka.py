"""A real Kafka for tests: in a container where Docker is, else the broker of `make kafka`, else one at an address from the environment.

Every test has the cluster to itself by a prefix of its own: `config(broker)` gives topics that no other test knows.
"""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiokafka.admin import AIOKafkaAdminClient

from eventlog import kafka_topics
from eventlog.kafka_config import KafkaConfig
from runtime.local_kafka import Broker, missing_part
from runtime.local_kafka import running as running_broker

ADDRESS = "TEST_KAFKA"
IMAGE = "apache/kafka:4.1.0"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def local_broker(folder: Path, **options: Any) -> Broker:
    """A broker of one's own, for tests that stop, kill or pause it. Not started yet."""
    return Broker(folder, port=free_port(), controller_port=free_port(), **options)


def missing() -> str | None:
    """Why no broker can be had here, with the remedy; None when one can."""
    if os.environ.get(ADDRESS) or docker_answers():
        return None
    return missing_part()


def docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False).returncode == 0


@contextlib.contextmanager
def any_broker(folder: Path) -> Iterator[str]:
    """The address of a broker for the whole of a test run."""
    if address := os.environ.get(ADDRESS):
        yield address
    elif docker_answers():
        from testcontainers.kafka import KafkaContainer  # noqa: PLC0415 - asks for Docker as soon as it is imported

        with KafkaContainer(IMAGE).with_kraft() as container:
            yield container.get_bootstrap_server()
    else:
        with running_broker(local_broker(folder)) as broker:
            yield broker.address


def config(address: str, **changes: Any) -> KafkaConfig:
    """Topics under a prefix that nobody else has."""
    wanted: dict[str, Any] = {"partitions": 3, "topic_prefix": f"t{uuid4().hex[:8]}.", "acknowledged_within_s": 10.0}
    return KafkaConfig(bootstrap_servers=address, **(wanted | changes))


@contextlib.asynccontextmanager
async def admin_of(config: KafkaConfig) -> Any:
    admin = AIOKafkaAdminClient(**config.connection())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def create_topics(config: KafkaConfig) -> None:
    async with admin_of(config) as admin:
        await kafka_topics.create(config, admin)
