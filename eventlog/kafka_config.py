"""How a cluster is reached, and what its topics are to be like. Values only: the environment is read elsewhere."""

import ssl
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:  # every process reads its settings, and few of them talk to Kafka
    from aiokafka.abc import AbstractTokenProvider


class Security(StrEnum):
    """The protocol that a listener of the cluster speaks."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"


class Mechanism(StrEnum):
    """How we say who we are, over SASL."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"
    OAUTHBEARER = "OAUTHBEARER"


class Compression(StrEnum):
    NONE = "none"
    GZIP = "gzip"
    SNAPPY = "snappy"
    LZ4 = "lz4"
    ZSTD = "zstd"


class Acks(StrEnum):
    """Who must have a batch before it counts as taken."""

    ALL = "all"
    LEADER = "1"


class Credentials(Struct, frozen=True, kw_only=True):
    """Who we are to the cluster. Its text never shows a secret."""

    mechanism: Mechanism
    username: str = ""
    password: str = ""
    tokens: "AbstractTokenProvider | None" = None
    """For OAUTHBEARER: where each connection's token comes from."""

    def __repr__(self) -> str:
        return f"Credentials(mechanism={self.mechanism.value!r}, username={self.username!r})"


class KafkaConfig(Struct, frozen=True, kw_only=True):
    """One cluster, and our topics on it."""

    bootstrap_servers: str
    """`host:port`, several separated by commas."""
    topic_prefix: str = ""
    """Before the name of every topic and consumer group, so that several Heliographs can share a cluster."""
    client_id: str = "heliograph"
    security: Security = Security.PLAINTEXT
    credentials: Credentials | None = None
    tls: ssl.SSLContext | None = None
    compression: Compression = Compression.ZSTD
    acks: Acks = Acks.ALL
    partitions: int = 12
    """Of each topic that carries events of calls: all of them have equally many."""
    replication: int = 1
    min_insync_replicas: int = 1
    retention: timedelta = timedelta(days=7)
    retention_bytes: int = -1
    """For each partition; -1: no limit."""
    max_message_bytes: int = 32 << 20
    """The largest message a topic takes: a body of the body limit, escaped, with its facts."""
    acknowledged_within_s: float = 0.5
    """A batch that the cluster has not acknowledged by then counts as not taken."""
    request_timeout_s: float = 10.0
    session_timeout_s: float = 10.0
    """A reader that is silent for so long loses its partitions."""

    def on_cluster(self, name: str) -> str:
        """A topic's or a group's name as the cluster knows it."""
        return self.topic_prefix + name

    @property
    def servers(self) -> list[str]:
        return [server.strip() for server in self.bootstrap_servers.split(",")]

    def connection(self) -> Mapping[str, Any]:
        """What every client of the cluster is opened with."""
        return {"bootstrap_servers": self.servers, "metadata_max_age_ms": 60_000, **self.conversation()}

    def conversation(self) -> Mapping[str, Any]:
        """What every connection to one of its brokers is opened with."""
        found: dict[str, Any] = {
            "client_id": self.client_id,
            "request_timeout_ms": int(self.request_timeout_s * 1000),
            "security_protocol": self.security.value,
            "ssl_context": self.tls,
        }
        if self.credentials is not None:
            found |= {
                "sasl_mechanism": self.credentials.mechanism.value,
                "sasl_plain_username": self.credentials.username,
                "sasl_plain_password": self.credentials.password,
                "sasl_oauth_token_provider": self.credentials.tokens,
            }
        return found
