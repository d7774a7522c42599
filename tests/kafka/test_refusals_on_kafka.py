"""What a real Kafka refuses or slows down, and servers that are none: named, with the remedy, and nothing is lost."""

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
import pytest
from aiokafka.protocol.admin import ApiVersionRequest, ApiVersionResponse_v0
from aiokafka.protocol.api import Response
from aiokafka.protocol.metadata import MetadataRequest, MetadataResponse_v1

from eventlog.codec import decode
from eventlog.events import RequestReceived
from eventlog.kafka import KafkaLog
from eventlog.kafka_writer import KafkaWriter
from eventlog.port import LogUnavailable, NotAcknowledged
from eventlog.spill_folder import Aside
from eventlog.topics import REQUESTS
from tests.fakes import kafka
from tests.fakes.cluster import batch
from tests.fakes.provider import provider, sized
from tests.fakes.proxy import arrived, calling, calls, environment_of, proxy_at
from tests.fakes.raw_server import Peer, raw_server
from tests.fakes.stack import free_port


async def test_of_a_message_that_the_topic_finds_too_large_the_facts_arrive(broker: str, tmp_path: Path) -> None:
    config = kafka.config(broker)
    await kafka.create_topics(config)
    await kafka.limit_messages(config, REQUESTS.name, 100_000)
    large = Random(1).randbytes(400_000).hex()
    async with provider(sized()) as behind, proxy_at(tmp_path, environment_of(config), behind.url) as proxy:
        answered = await calls(proxy, 2) + await calls(proxy, 1, large) + await calls(proxy, 2)
        await proxy.until(lambda told: told["spill"]["put_aside"] == 1)
        told = await proxy.drained()
    assert (told["spill"]["put_aside"], told["spill"]["dropped_bodies"], told["lost_events"]) == (1, 1, 0)
    [kept] = (proxy.spill / "put-aside").iterdir()
    assert large in msgspec.json.decode(kept.read_bytes(), type=Aside).value.decode()
    found = await arrived(config)
    found.holds_exactly(answered)
    requests = [event for message in found.first if message.topic == REQUESTS.name for event in decode(RequestReceived, message)[0].events]
    assert [event.call.call_id for event in requests if event.request is not None and event.request.truncated] == [answered[2]]


async def test_a_proxy_that_is_slowed_down_by_a_quota_loses_nothing(broker: str, tmp_path: Path) -> None:
    config = kafka.config(broker, client_id="slow")
    await kafka.create_topics(config)
    await kafka.throttle(config, 20_000)
    try:
        env = environment_of(config, HELIOGRAPH_KAFKA__CLIENT_ID="slow", HELIOGRAPH_KAFKA__COMPRESSION="none")
        async with provider(sized()) as behind, proxy_at(tmp_path, env, behind.url) as proxy:
            async with calling(proxy, pause_s=0, text="x" * 2_000) as load:
                await proxy.spills()
                await load.until(20)
            await kafka.throttle(config, 1e9)
            told = await proxy.drained()
        assert told["lost_events"] == told["spill"]["dropped_bodies"] == 0
        (await arrived(config)).holds_exactly(load.answered)
    finally:
        await kafka.throttle(config, 1e9)


async def test_an_address_where_nobody_listens_a_server_that_is_no_kafka_and_one_that_is_too_old() -> None:
    async with raw_server(silent) as silence, old_kafka() as old:
        for port, told in (
            (free_port(), "see HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS"),
            (silence.port, "see HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS"),
            (old, "is too old"),
        ):
            config = kafka.config(f"127.0.0.1:{port}", request_timeout_s=1.0)
            writer = KafkaWriter(config)
            with pytest.raises(NotAcknowledged, match=told):
                await writer.append([batch(1)])
            await writer.close()
            with pytest.raises(LogUnavailable, match=told):
                await KafkaLog.open(config)


async def silent(peer: Peer) -> None:
    await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await peer.gone()


@asynccontextmanager
async def old_kafka() -> AsyncIterator[int]:
    """What a broker of version 0.10 answers: which versions it speaks, and who is in the cluster."""
    port = 0

    async def script(peer: Peer) -> None:
        while True:
            [size] = struct.unpack(">i", await peer.reader.readexactly(4))
            key, version, correlation = struct.unpack(">hhi", (await peer.reader.readexactly(size))[:8])
            answer: Response = ApiVersionResponse_v0(0, [(MetadataRequest.API_KEY, 0, 1), (ApiVersionRequest.API_KEY, 0, 0)])
            if key == MetadataRequest.API_KEY:
                assert version == 1
                answer = MetadataResponse_v1([(1, "127.0.0.1", port, None)], 1, [])
            content = struct.pack(">i", correlation) + answer.encode()
            await peer.send(struct.pack(">i", len(content)) + content)

    async with raw_server(script) as server:
        port = server.port
        yield port
