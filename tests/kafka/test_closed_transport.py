"""A broker that dies between two events of the loop leaves a transport that is closed, and a client that does not know it yet."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from tests.fakes import kafka


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop])
@pytest.mark.parametrize("rounds", range(4), ids="{} rounds of the loop later".format)
def test_sending_on_a_closed_transport_is_a_broken_connection(
    broker: str, loop: Callable[[], asyncio.AbstractEventLoop], rounds: int
) -> None:
    async def send_after_it_closed() -> None:
        host, _, port = broker.rpartition(":")
        connection: AIOKafkaConnection = await create_conn(host, int(port), **kafka.config(broker).conversation())
        assert (await connection.send(MetadataRequest([]))).brokers
        connection._writer.transport.abort()
        for _ in range(rounds):
            await asyncio.sleep(0)
        with pytest.raises(KafkaConnectionError):
            async with asyncio.timeout(30):
                await connection.send(MetadataRequest([]))

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(send_after_it_closed())
