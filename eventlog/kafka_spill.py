"""How an ingress writes to a cluster whatever its state: two producers, a spill in front of them, and how many partitions there are."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from eventlog.kafka_config import KafkaConfig
from eventlog.kafka_metadata import ClusterFound
from eventlog.kafka_writer import KafkaWriter
from eventlog.spill import SpillingWriter
from eventlog.spill_state import SpillConfig
from eventlog.topics import NEEDED

PATIENT_S = 30.0
"""What was spilled may take so long to travel: the largest message, over a slow line."""


class Ground(NamedTuple):
    """Where an ingress writes, and the partitions of each topic: as configured, and as the cluster says once it was reached."""

    writer: SpillingWriter
    partitions: Mapping[str, int]


async def open_ground(kafka: KafkaConfig, spill: SpillConfig) -> Ground:
    """Never waits for the cluster, and raises nothing for its state or the directory's. Close the writer."""
    known: dict[str, int] = {}
    partitions = dict.fromkeys(NEEDED, kafka.partitions)

    def connected(cluster: ClusterFound) -> None:
        known.update({topic: cluster.topics[kafka.on_cluster(topic)].partitions for topic in NEEDED})
        partitions.update(known)

    slow = msgspec.structs.replace(kafka, acknowledged_within_s=PATIENT_S, request_timeout_s=max(PATIENT_S, kafka.request_timeout_s))
    live, patient = (KafkaWriter(config, on_connected=connected) for config in (kafka, slow))
    return Ground(await SpillingWriter.open(live, spill, patient=patient, counts=lambda: known), partitions)
