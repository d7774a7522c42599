"""A real Kafka for tests: in a container where Docker is, else the broker of `make kafka`, else one at an address from the environment.

Every test has the cluster to itself by a prefix of its own: `config(broker)` gives topics that no other test knows.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.admin import CreateAclsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Float64, Int16, Int32, Schema, String

from eventlog import kafka_topics
from eventlog.kafka_config import KafkaConfig
from runtime.local_kafka import Broker, missing_part
from runtime.local_kafka import running as running_broker

ADDRESS = "TEST_KAFKA"
IMAGE = "apache/kafka:4.1.0"
QUICK = {"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500"}
"""After a kill -9 a broker is let in again only when its former life counts as over."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def local_broker(folder: Path, properties: Mapping[str, str] = MappingProxyType({}), **options: Any) -> Broker:
    """A broker of one's own, for tests that stop, kill or pause it. Not started yet."""
    return Broker(folder, port=free_port(), controller_port=free_port(), properties={**QUICK, **properties}, **options)


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


async def raise_topics(config: KafkaConfig, partitions: int) -> None:
    async with admin_of(config) as admin:
        await kafka_topics.raise_partitions(config, admin, partitions)


async def raise_one(config: KafkaConfig, topic: str, partitions: int) -> None:
    """One topic alone, as somebody without our commands would."""
    async with admin_of(config) as admin:
        await admin.create_partitions({config.on_cluster(topic): NewPartitions(partitions)})


async def recreate(config: KafkaConfig, topic: str) -> None:
    """The topic goes with all that is in it, and one of the same name comes."""
    async with admin_of(config) as admin:
        await delete(config, admin, topic)
        await kafka_topics.create(config, admin)


async def delete(config: KafkaConfig, admin: AIOKafkaAdminClient, topic: str) -> None:
    """The topic is gone when this returns."""
    await admin.delete_topics([config.on_cluster(topic)])
    async with asyncio.timeout(20):
        while config.on_cluster(topic) in (await kafka_topics.examine(config, admin)).cluster.topics:
            await asyncio.sleep(0.05)


async def limit_messages(config: KafkaConfig, topic: str, limit_bytes: int) -> None:
    """The topic takes no larger ones from now on."""
    async with admin_of(config) as admin:
        limit = {"max.message.bytes": str(limit_bytes)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, config.on_cluster(topic), limit)])
        async with asyncio.timeout(20):
            while (await kafka_topics.examine(config, admin)).configs[config.on_cluster(topic)]["max.message.bytes"] != str(limit_bytes):
                await asyncio.sleep(0.05)


async def allow(config: KafkaConfig, principal: str) -> None:
    """Somebody may do everything to our topics."""
    topic, prefixed, everything, allowed = 2, 4, 2, 3
    async with admin_of(config) as admin:
        request = CreateAclsRequest(topic, config.topic_prefix, prefixed, principal, "*", everything, allowed)
        answer = await admin._send_to_controller(request)
        assert [code for code, _ in answer.creation_responses] == [0]


async def throttle(config: KafkaConfig, bytes_a_second: float) -> None:
    """What a client of this name produces above it is slowed down."""
    async with admin_of(config) as admin:
        answer = await admin._send_to_controller(_AlterQuotas(config.client_id, bytes_a_second))
        assert [code for code, *_ in answer.entries] == [0]


class _AlterQuotasResponse(Response):
    API_KEY = 49
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "entries",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("entity", Array(("type", String("utf-8")), ("name", String("utf-8")))),
            ),
        ),
    )


class _AlterQuotasRequestV0(RequestStruct):
    API_KEY = 49
    API_VERSION = 0
    RESPONSE_TYPE = _AlterQuotasResponse
    SCHEMA = Schema(
        (
            "entries",
            Array(
                ("entity", Array(("type", String("utf-8")), ("name", String("utf-8")))),
                ("ops", Array(("key", String("utf-8")), ("value", Float64), ("remove", Boolean))),
            ),
        ),
        ("validate_only", Boolean),
    )


class _AlterQuotas(Request[_AlterQuotasRequestV0]):
    """aiokafka has no request for it. Source: Kafka protocol guide, "AlterClientQuotas API" (read 2026-11-25)."""

    API_KEY = 49

    def __init__(self, client_id: str, bytes_a_second: float) -> None:
        self._entry = ([("client-id", client_id)], [("producer_byte_rate", bytes_a_second, False)])

    def build(self, request_struct_class: type[_AlterQuotasRequestV0]) -> _AlterQuotasRequestV0:
        return request_struct_class([self._entry], False)
