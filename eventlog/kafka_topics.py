"""Our topics on a cluster: what they are to be, what they are, where the two differ, and making them so.

`wanted` and `differences` are values; `create` and `raise_partitions` carry them out. Nothing else ever makes a topic.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidReplicationFactorError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code
from msgspec import Struct
from msgspec.structs import replace

from eventlog.kafka_config import KafkaConfig
from eventlog.kafka_errors import TopicsUnfit, naming
from eventlog.kafka_metadata import ClusterFound, TopicFound, describe
from eventlog.topics import HELD, NEEDED, TOPICS, Topic

ALL = (*TOPICS.values(), HELD)


class Wanted(Struct, frozen=True, kw_only=True):
    """A topic as it should be."""

    name: str
    """On the cluster, prefix included."""
    partitions: int
    replication: int
    configs: dict[str, str]
    coupled: bool


class Severity(StrEnum):
    FATAL = "fatal"
    """Nobody who reads our topics starts on this."""
    ADVICE = "advice"


class Difference(Struct, frozen=True, kw_only=True):
    """One thing that is not as it should be."""

    topic: str
    severity: Severity
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.what}; {self.remedy}"


class Existing(Struct, frozen=True, kw_only=True):
    """Our topics as they are: their shape, and those settings of each that matter to us."""

    cluster: ClusterFound
    configs: dict[str, dict[str, str]]


def wanted(config: KafkaConfig) -> list[Wanted]:
    return [_wanted(topic, config) for topic in ALL]


def _wanted(topic: Topic, config: KafkaConfig) -> Wanted:
    configs = {
        "max.message.bytes": str(config.max_message_bytes),
        "min.insync.replicas": str(config.min_insync_replicas),
        "message.timestamp.type": "LogAppendTime",  # lag and retention count from when a message came, also out of a spill
    }
    if topic.compacted:
        configs["cleanup.policy"] = "compact"
    else:
        configs |= {
            "cleanup.policy": "delete",
            "retention.ms": str(int(config.retention.total_seconds() * 1000)),
            "retention.bytes": str(config.retention_bytes),
        }
    return Wanted(
        name=config.on_cluster(topic.name),
        partitions=config.partitions,
        replication=config.replication,
        configs=configs,
        coupled=topic.coupled,
    )


def differences(existing: Existing, topics: Sequence[Wanted]) -> list[Difference]:
    """What is not as it should be, fatal things first."""
    found = [each for topic in topics for each in _of_topic(existing, topic)]
    found += _of_counts(existing, topics)
    return sorted(found, key=lambda each: (each.severity is not Severity.FATAL, each.topic))


def _of_topic(existing: Existing, topic: Wanted) -> Iterable[Difference]:
    def differs(severity: Severity, what: str, remedy: str) -> Difference:
        return Difference(topic=topic.name, severity=severity, what=what, remedy=remedy)

    here = existing.cluster.topics.get(topic.name)
    if here is None:
        yield differs(Severity.FATAL, "is missing", "run `heliograph topics create`")
        return
    if here.replication < topic.replication:
        remedy = "reassign its replicas, or lower HELIOGRAPH_KAFKA__REPLICATION"
        yield differs(Severity.ADVICE, f"has {here.replication} replicas and {topic.replication} are asked for", remedy)
    if here.leaderless:
        yield differs(Severity.ADVICE, f"has partitions without a leader: {here.leaderless}", "see which brokers are down")
    for name, value in topic.configs.items():
        has = existing.configs.get(topic.name, {}).get(name)
        if has is not None and has != value:
            severity = _severity(name, has, value)
            if severity is not None:
                yield differs(severity, f"has {name}={has} and {value} is asked for", f"set it with Kafka's own tools ({name}={value})")


def _severity(name: str, has: str, value: str) -> Severity | None:
    """How bad it is that a topic's setting differs; None when it does no harm."""
    match name:
        case "cleanup.policy":
            return Severity.FATAL  # events would vanish behind their keys, or keys would expire
        case "max.message.bytes":
            return Severity.FATAL if int(has) < int(value) else None
        case "min.insync.replicas":
            return Severity.ADVICE if int(has) < int(value) else None
        case _:
            return Severity.ADVICE


def _of_counts(existing: Existing, topics: Sequence[Wanted]) -> Iterable[Difference]:
    """Coupled topics have equal counts, whatever the settings say; that the settings say otherwise is worth a word."""
    counts = {topic.name: existing.cluster.topics[topic.name].partitions for topic in topics if topic.name in existing.cluster.topics}
    coupled = {topic.name: counts[topic.name] for topic in topics if topic.coupled and topic.name in counts}
    most = max(coupled.values(), default=0)
    for name, count in coupled.items():
        if count < most:
            yield Difference(
                topic=name,
                severity=Severity.FATAL,
                what=f"has {count} partitions, others have {most}",
                remedy=f"run `heliograph topics raise --partitions {most}`",
            )
    for topic in topics:
        if topic.coupled and counts.get(topic.name, most) == most and most and most != topic.partitions:
            yield Difference(
                topic=topic.name,
                severity=Severity.ADVICE,
                what=f"has {most} partitions and HELIOGRAPH_KAFKA__PARTITIONS says {topic.partitions}",
                remedy=f"set HELIOGRAPH_KAFKA__PARTITIONS={most}"
                + (f", or run `heliograph topics raise --partitions {topic.partitions}`" if topic.partitions > most else ""),
            )


def lines(found: Iterable[Difference]) -> list[str]:
    """One for each thing that differs and its remedy, with all topics where it does."""
    alike: dict[tuple[str, str], list[str]] = {}
    for each in found:
        alike.setdefault((each.what, each.remedy), []).append(each.topic)
    return [f"{', '.join(names)}: {what}; {remedy}" for (what, remedy), names in alike.items()]


async def examine(config: KafkaConfig, admin: AIOKafkaAdminClient) -> Existing:
    """A topic that goes just now is one that is missing. Raises LogUnavailable, TopicsUnfit."""
    topics = wanted(config)
    with naming(config):
        cluster = await describe(admin._client, [topic.name for topic in topics])
        names = {topic.name: list(topic.configs) for topic in topics if topic.name in cluster.topics}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(configs, "")) for name, configs in names.items()]
        answers = await admin.describe_configs(resources) if resources else []
    configs, gone = {}, set()
    for answer in answers:
        for code, message, _, name, entries in answer.resources:
            if code == UnknownTopicOrPartitionError.errno:
                gone.add(name)
                continue
            if code:
                raise TopicsUnfit(f"The settings of {name} cannot be read: {for_code(code).__name__} {message or ''}".rstrip())
            configs[name] = {entry[0]: entry[1] for entry in entries}
    left = {name: topic for name, topic in cluster.topics.items() if name not in gone}
    return Existing(cluster=replace(cluster, topics=left), configs=configs)


async def create(config: KafkaConfig, admin: AIOKafkaAdminClient) -> list[str]:
    """Makes what is missing; answers the names. What is there stays as it is. Raises LogUnavailable, TopicsUnfit."""
    there = (await examine(config, admin)).cluster.topics
    missing = [topic for topic in wanted(config) if topic.name not in there]
    if not missing:
        return []
    new = [NewTopic(each.name, each.partitions, each.replication, topic_configs=each.configs) for each in missing]
    with naming(config):
        answer = await admin.create_topics(new)
    for name, code, message in answer.topic_errors:
        if code and code != TopicAlreadyExistsError.errno:
            raise TopicsUnfit(_not_made(name, code, message, config))
    await _until_known(config, admin, {each.name: each.partitions for each in missing})
    return [each.name for each in missing]


def _not_made(name: str, code: int, message: str | None, config: KafkaConfig) -> str:
    told = f"{name} could not be made: {for_code(code).__name__}, {message}"
    if code == InvalidReplicationFactorError.errno:
        told += (
            f"\nHELIOGRAPH_KAFKA__REPLICATION={config.replication} asks for as many brokers; this cluster has fewer that run. Set it to at"
            " most their number."
        )
    return told


async def raise_partitions(config: KafkaConfig, admin: AIOKafkaAdminClient, partitions: int) -> dict[str, tuple[int, int]]:
    """Gives every coupled topic, changelogs included, `partitions` partitions. Answers before and after of those that grew.

    Raises LogUnavailable, and TopicsUnfit when a topic is missing or has more already: partitions are never taken away.
    """
    there = (await examine(config, admin)).cluster.topics
    names = [topic.name for topic in wanted(config) if topic.coupled]
    _check_raise(there, names, partitions)
    grown = {name: (there[name].partitions, partitions) for name in names if there[name].partitions < partitions}
    if grown:
        with naming(config):
            await admin.create_partitions({name: NewPartitions(partitions) for name in grown})
        await _until_known(config, admin, dict.fromkeys(grown, partitions))
    return grown


async def _until_known(config: KafkaConfig, admin: AIOKafkaAdminClient, partitions: Mapping[str, int]) -> None:
    """A cluster answers before its brokers all know: waits until the topics are there, with a leader for each partition."""
    with naming(config):
        async with asyncio.timeout(config.request_timeout_s):
            while True:
                there = (await describe(admin._client, list(partitions))).topics
                ready = [name for name, topic in there.items() if topic.partitions >= partitions[name] and not topic.leaderless]
                if len(ready) == len(partitions):
                    return
                await asyncio.sleep(0.05)


def _check_raise(there: Mapping[str, TopicFound], names: Sequence[str], partitions: int) -> None:
    missing = [name for name in names if name not in there]
    if missing:
        raise TopicsUnfit(f"{', '.join(missing)}: missing; run `heliograph topics create`")
    larger = [name for name in names if there[name].partitions > partitions]
    if larger:
        raise TopicsUnfit(f"{', '.join(larger)}: more than {partitions} partitions already, and partitions cannot be taken away")


def check(existing: Existing, config: KafkaConfig, needs: Collection[str]) -> None:
    """Raises TopicsUnfit when readers must not start on these topics."""
    names = {config.on_cluster(topic) for topic in needs}
    topics = [topic for topic in wanted(config) if topic.name in names]
    fatal = lines(each for each in differences(existing, topics) if each.severity is Severity.FATAL)
    if fatal:
        raise TopicsUnfit("The cluster's topics are not fit to be read:\n  " + "\n  ".join(fatal))


def check_shape(cluster: ClusterFound, config: KafkaConfig) -> None:
    """Raises TopicsUnfit when nothing must be written to these topics: some are missing, or coupled ones differ in their counts."""
    names = set(map(config.on_cluster, NEEDED))
    topics = [topic for topic in wanted(config) if topic.name in names]
    fatal = lines(each for each in differences(Existing(cluster=cluster, configs={}), topics) if each.severity is Severity.FATAL)
    if fatal:
        raise TopicsUnfit(f"Kafka at {config.bootstrap_servers} lacks what we write to: {'; '.join(fatal)}")
