"""What a cluster says of itself and of our topics: ids, partitions, replicas. Never creates a topic by asking for it.

aiokafka's own requests know no topic ids, and by asking for a topic's metadata they let a broker make it with its defaults; this one is
the protocol's Metadata request, version 12 (Kafka 3.1 and later), with creation off.
Source: Kafka protocol guide, "Metadata API" (read 2026-11-24).
"""

from collections.abc import Sequence
from io import BytesIO
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields
from msgspec import Struct

OLDEST = "3.1"
_ABSENT = 3
"""UNKNOWN_TOPIC_OR_PARTITION"""


class _Uuid(AbstractType[UUID]):
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequestV12(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestV12]):
    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequestV12]) -> _MetadataRequestV12:
        return request_struct_class([(UUID(int=0), name, {}) for name in self._topics], False, False, {})


class TopicFound(Struct, frozen=True, kw_only=True):
    """A topic as it is on the cluster."""

    name: str
    """On the cluster, prefix included."""
    id: UUID
    partitions: int
    replication: int
    leaderless: tuple[int, ...] = ()
    """Partitions that have no leader now."""


class ClusterFound(Struct, frozen=True, kw_only=True):
    """A cluster, and those of the topics asked for that it has."""

    id: str
    brokers: int
    topics: dict[str, TopicFound]


async def describe(client: AIOKafkaClient, topics: Sequence[str]) -> ClusterFound:
    """Raises what aiokafka raises: KafkaError, and NotImplementedError for a cluster older than `OLDEST`."""
    answer = (await client.send(client.get_random_node(), _MetadataRequest(topics))).to_object()
    found = {}
    for topic in answer["topics"]:
        code = topic["error_code"]
        if code == _ABSENT:
            continue
        if code:
            raise for_code(code)(topic["name"])
        partitions = topic["partitions"]
        found[topic["name"]] = TopicFound(
            name=topic["name"],
            id=topic["topic_id"],
            partitions=len(partitions),
            replication=min((len(each["replicas"]) for each in partitions), default=0),
            leaderless=tuple(each["partition"] for each in partitions if each["leader"] < 0),
        )
    return ClusterFound(id=answer["cluster_id"], brokers=len(answer["brokers"]), topics=found)
