"""Starting a client of the cluster; and why it did not start, which aiokafka only logs: it passes over every server that it cannot use.

So when no server could be used, they are asked once more, and what the first says is the reason.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from eventlog.kafka_config import KafkaConfig, Mechanism
from eventlog.kafka_errors import naming
from eventlog.port import LogUnavailable

ASKING_S = 5.0


async def started(start: Callable[[], Awaitable[object]], config: KafkaConfig, *, within_s: float | None = None) -> None:
    """Starts a client, and waits for it: as long as a request may take, or `within_s`.

    Raises LogUnavailable naming the cause and the remedy; the client is still to be closed then.
    """
    try:
        with naming(config):
            async with asyncio.timeout(within_s or config.request_timeout_s):
                if config.credentials is not None and config.credentials.mechanism is Mechanism.OAUTHBEARER:
                    await _ask(config)  # a client would go on for ever with a token that is refused
                await start()
    except LogUnavailable as error:
        if not isinstance(error.__cause__, KafkaConnectionError):
            raise
        with naming(config):
            await _ask(config)
        raise


async def _ask(config: KafkaConfig) -> None:
    """Raises what the first server has against us; nothing when one of them takes us."""
    refusal: Exception | None = None
    for host, port, _ in collect_hosts(config.servers, randomize=False):
        try:
            async with asyncio.timeout(min(ASKING_S, config.request_timeout_s)):
                await _converse(config, host, port)
        except (OSError, KafkaError) as error:
            refusal = refusal or error
        else:
            return
    if refusal is not None:
        raise refusal


async def _converse(config: KafkaConfig, host: str, port: int) -> None:
    connection = await create_conn(host, port, **config.conversation())
    try:
        known = await connection.send(MetadataRequest([]))
        if not known.brokers:
            # aiokafka takes a token for accepted whatever the server says of it (RFC 7628, section 3.2.3), and its next answer for one
            raise AuthenticationFailedError("the token is not accepted")
    finally:
        connection.close()
