"""A proxy before a real Kafka that is away, stands still, dies, lacks its topics: calls notice nothing, and no event is lost or doubled."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import pytest

from eventlog.codec import decode
from eventlog.embedded_file import FILE_NAME
from eventlog.events import RequestReceived
from eventlog.kafka_config import KafkaConfig
from eventlog.topics import REQUESTS
from runtime.local_kafka import Broker
from tests.fakes import kafka
from tests.fakes.provider import Provider, provider, sized
from tests.fakes.proxy import Proxy, arrived, calling, calls, environment_of, paused
from tests.fakes.stack import get

pytestmark = pytest.mark.needs("a broker of one's own")
STRICT = {"HELIOGRAPH_DURABILITY": "strict"}
LONGER_THAN_A_REQUEST_S = 2.5


@pytest.fixture(scope="module")
def broker_to_break(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Not running until somebody starts it."""
    broker = kafka.local_broker(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.stop()


@pytest.fixture
async def behind() -> AsyncIterator[Provider]:
    async with provider(sized()) as running:
        yield running


@pytest.fixture
async def proxy(broker_to_break: Broker, behind: Provider, tmp_path: Path) -> AsyncIterator[Proxy]:
    """Not running until it is started."""
    proxy = Proxy(tmp_path / "ingress", environment_of(kafka.config(broker_to_break.address)), behind.url)
    yield proxy
    await proxy.end(signal.SIGKILL)


@pytest.fixture
def config(proxy: Proxy) -> KafkaConfig:
    return kafka.config(proxy.env["HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS"], topic_prefix=proxy.env["HELIOGRAPH_KAFKA__TOPIC_PREFIX"])


async def begin(broker: Broker, config: KafkaConfig) -> None:
    """The broker runs, and our topics are there."""
    await asyncio.to_thread(broker.start)
    await kafka.create_topics(config)


async def test_a_broker_that_is_absent_and_then_has_no_topics(broker_to_break: Broker, proxy: Proxy, config: KafkaConfig) -> None:
    await asyncio.to_thread(broker_to_break.stop)
    await proxy.start()
    async with calling(proxy) as load:
        await load.until(20)
        told = await proxy.spills()
        assert told["status"] == "ready"
        assert "HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS" in told["spill"]["reason"]
        await asyncio.to_thread(broker_to_break.start)
        told = await proxy.until(lambda told: "heliograph topics create" in told["spill"]["reason"])
        assert config.on_cluster(REQUESTS.name) in told["spill"]["reason"]
        await load.until(20)
        await kafka.create_topics(config)
        await proxy.drained()
        await load.until(20)
    told = await proxy.drained()
    assert (told["lost_events"], told["shed_bodies"], told["spill"]["reason"]) == (0, 0, "")
    (await arrived(config)).holds_exactly(load.answered)


async def test_topics_whose_counts_differ_are_told_and_nothing_is_written_to_them(
    broker_to_break: Broker, proxy: Proxy, config: KafkaConfig
) -> None:
    await begin(broker_to_break, config)
    await kafka.raise_one(config, REQUESTS.name, 5)
    await proxy.start()
    answered = await calls(proxy, 5)
    told = await proxy.until(lambda told: "heliograph topics raise --partitions 5" in told["spill"]["reason"])
    assert told["log"] == "spilling"
    assert (await arrived(config)).messages == []
    await kafka.raise_topics(config, 5)
    await proxy.drained()
    (await arrived(config)).holds_exactly(answered)


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_broker_that_ends_under_load_and_comes_back(broker_to_break: Broker, proxy: Proxy, config: KafkaConfig, end: str) -> None:
    await begin(broker_to_break, config)
    await proxy.start()
    async with calling(proxy) as load:
        await load.until(30)
        await asyncio.to_thread(getattr(broker_to_break, end))
        await load.until(50)
        await proxy.spills()
        await asyncio.to_thread(broker_to_break.start)
        await proxy.drained()
        await load.until(30)
    await proxy.drained()
    (await arrived(config)).holds_exactly(load.answered)
    assert '"level": "error"' not in proxy.log, "an error means that data was lost"


async def test_a_broker_that_stands_still_for_longer_than_a_request_may_take(
    broker_to_break: Broker, proxy: Proxy, config: KafkaConfig
) -> None:
    await begin(broker_to_break, config)
    await proxy.start()
    async with calling(proxy) as load:
        await load.until(30)
        with paused(broker_to_break):
            await proxy.spills()
            await asyncio.sleep(LONGER_THAN_A_REQUEST_S)
            await load.until(30)
        await proxy.drained()
        await load.until(30)
    await proxy.drained()
    (await arrived(config)).holds_exactly(load.answered)


async def test_a_proxy_that_is_killed_while_it_spills_leaves_it_to_the_next_run(
    broker_to_break: Broker, proxy: Proxy, config: KafkaConfig
) -> None:
    """The next run is told a wrong number of partitions: before it knows the cluster it must not send anything elsewhere by that."""
    await begin(broker_to_break, config)
    await proxy.start(**STRICT)
    answered = await calls(proxy, 3)
    with paused(broker_to_break):
        async with calling(proxy, faults=True) as load:
            await proxy.spills()
            await load.until(20)
            await proxy.end(signal.SIGKILL)
        await proxy.start(**STRICT, HELIOGRAPH_KAFKA__PARTITIONS="1")
        answered += load.answered + await calls(proxy, 3)
        assert (await proxy.ready())["spill"]["bytes"] > 0
    await proxy.drained()
    answered += await calls(proxy, 3)
    found = await arrived(config)
    assert found.gaps == []
    ids = found.call_ids(REQUESTS.name)
    assert set(answered) - ids.keys() == set()
    assert len(ids.keys() - set(answered)) <= len(load.faults)
    assert max(ids.values()) == 1
    assert len({message.batch_id.epoch for message in found.messages}) == 2


async def test_at_its_limit_a_spill_gives_up_bodies_and_no_facts(broker_to_break: Broker, proxy: Proxy, config: KafkaConfig) -> None:
    await begin(broker_to_break, config)
    await proxy.start(HELIOGRAPH_SPILL__BYTES=str((1 << 20) + 1))
    with paused(broker_to_break):
        async with calling(proxy, pause_s=0.005, text="x" * 20_000) as load:
            told = await proxy.until(lambda told: told["spill"]["dropped_bodies"] > 10)
            assert (told["status"], told["lost_events"]) == ("ready", 0)
            assert 'heliograph_events_dropped_total{reason="body_over_spill"}' in get(f"{proxy.url}/metrics").decode()
            await proxy.until(lambda told: told["log"] == "refusing")
    told = await proxy.drained()
    assert told["lost_events"] == 0
    found = await arrived(config)
    found.holds_exactly(load.answered)
    requests = [event for message in found.first if message.topic == REQUESTS.name for event in decode(RequestReceived, message)[0].events]
    bare = sum(event.request is not None and event.request.text is None for event in requests)
    assert 10 < bare <= told["spill"]["dropped_bodies"]


async def test_a_corrupt_spill_is_kept_aside_and_the_rest_goes_on(broker_to_break: Broker, proxy: Proxy, config: KafkaConfig) -> None:
    await begin(broker_to_break, config)
    with paused(broker_to_break):
        spills: list[Path] = []
        sound: list[str] = []
        for _ in range(2):
            await proxy.start(**STRICT)
            sound = await calls(proxy, 5)
            await proxy.end(signal.SIGKILL)
            spills += [path.parent for path in proxy.spill.glob(f"*/{FILE_NAME}") if path.parent not in spills]
        damage(spills[0])
        await proxy.start(**STRICT)
        sound += await calls(proxy, 5)
    told = await proxy.drained()
    assert told["spill"]["corrupt"] == 1
    assert "spill_kept_aside" in proxy.log
    assert [path.name for path in proxy.spill.glob("corrupt-*")] == [f"corrupt-{spills[0].name}"]
    (await arrived(config)).holds_exactly(sound)


def damage(spill: Path) -> None:
    for path in spill.glob(f"{FILE_NAME}-*"):
        path.unlink()
    content = bytearray((spill / FILE_NAME).read_bytes())
    content[100:] = Random(1).randbytes(len(content) - 100)
    (spill / FILE_NAME).write_bytes(content)
