"""Listeners with TLS and SASL: every setting works against a real one, and what is wrong with it is named. Calls notice nothing."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from eventlog.codec import BatchId, message_of
from eventlog.kafka import KafkaLog
from eventlog.kafka_config import KafkaConfig
from eventlog.kafka_writer import KafkaWriter
from eventlog.port import LogUnavailable, NotAcknowledged
from eventlog.topics import CALLS, REQUESTS, RESPONSES
from runtime.cluster import kafka_config
from runtime.settings import settings
from tests.fakes import kafka
from tests.fakes.cluster import batch
from tests.fakes.provider import provider, sized
from tests.fakes.proxy import arrived, calls, environment_of, proxy_at
from tests.fakes.secured import PASSWORD, Secured, secured, token
from tests.fakes.worker import Cluster, Workers
from tests.processors.events import completed

pytestmark = [pytest.mark.needs("a broker of one's own"), pytest.mark.needs("openssl")]

ALICE = {"SASL_USERNAME": "alice", "SASL_PASSWORD": PASSWORD}
CA = {"CA_FILE": "ca.pem"}
CLIENT = {"CERT_FILE": "client.pem", "KEY_FILE": "client.key"}
TOKEN = {"SASL_MECHANISM": "OAUTHBEARER", "OAUTH_TOKEN_FILE": "alice.token"}
WAYS = {
    "TLS": ("TLS", CA),
    "TLS with our own certificate": ("MUTUAL", CA | CLIENT),
    "its key under a password": ("MUTUAL", CA | {"CERT_FILE": "client.pem", "KEY_FILE": "locked.key", "KEY_PASSWORD": PASSWORD}),
    "PLAIN": ("SASL", ALICE | {"SASL_MECHANISM": "PLAIN"}),
    "SCRAM-SHA-256": ("SASL", ALICE | {"SASL_MECHANISM": "SCRAM-SHA-256"}),
    "SCRAM-SHA-512, the default": ("SASL", ALICE),
    "SCRAM-SHA-512 over TLS": ("SASLTLS", ALICE | CA),
    "a token from a file": ("SASL", TOKEN),
    "a token from an issuer": (
        "SASLTLS",
        CA | {"SASL_MECHANISM": "OAUTHBEARER", "OAUTH_TOKEN_URL": "issuer", "OAUTH_CLIENT_ID": "a", "OAUTH_CLIENT_SECRET": "b"},
    ),
}
WRONG = {
    "a wrong password": ("SASL", ALICE | {"SASL_PASSWORD": "wrong"}, "__SASL_PASSWORD"),
    "a wrong password over PLAIN": ("SASL", ALICE | {"SASL_PASSWORD": "wrong", "SASL_MECHANISM": "PLAIN"}, "__SASL_PASSWORD"),
    "an unknown user": ("SASLTLS", CA | ALICE | {"SASL_USERNAME": "bob"}, "__SASL_USERNAME"),
    "an unknown authority": ("TLS", {}, "HELIOGRAPH_KAFKA__CA_FILE"),
    "no certificate of ours": ("MUTUAL", CA, "__CERT_FILE"),
    "TLS to a port without": ("SASL", CA | {"SECURITY_PROTOCOL": "SSL"}, "__SECURITY_PROTOCOL"),
    "no TLS to a port with it": ("TLS", {"SECURITY_PROTOCOL": "PLAINTEXT"}, "__SECURITY_PROTOCOL"),
    "no SASL to a port with it": ("SASL", {"SECURITY_PROTOCOL": "PLAINTEXT"}, "__SECURITY_PROTOCOL"),
    "a token that is none": ("SASL", TOKEN | {"OAUTH_TOKEN_FILE": "ca.pem"}, "__OAUTH_TOKEN_FILE"),
    "a token that has expired": ("SASL", TOKEN | {"OAUTH_TOKEN_FILE": "expired.token"}, "__OAUTH_TOKEN_FILE"),
    "no token there": ("SASL", TOKEN | {"OAUTH_TOKEN_FILE": "nothing.token"}, "see HELIOGRAPH_KAFKA__OAUTH_TOKEN_FILE"),
    "an issuer that is away": (
        "SASL",
        {"SASL_MECHANISM": "OAUTHBEARER", "OAUTH_TOKEN_URL": "http://127.0.0.1:1", "OAUTH_CLIENT_ID": "a"},
        "HELIOGRAPH_KAFKA__OAUTH_TOKEN_URL",
    ),
    "a user who may do nothing": ("SASL", ALICE | {"SASL_USERNAME": "mallory"}, "let this user read, write"),
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    made = secured(tmp_path_factory.mktemp("secured"))
    folder = made.authority.folder
    made.authority.issue("client")
    (folder / "password").write_text(PASSWORD)
    made.authority.openssl("pkcs8 -topk8 -in client.key -out locked.key -passout file:password")
    (folder / "alice.token").write_text(token("alice") + "\n")
    (folder / "expired.token").write_text(token("alice", life_s=-60))
    made.broker.start()
    yield made
    made.broker.stop()


@pytest.fixture
async def topics(cluster: Secured) -> KafkaConfig:
    """Made by whoever comes without a name, who may do everything."""
    config = kafka.config(cluster.broker.address)
    await kafka.create_topics(config)
    return config


def environment(cluster: Secured, topics: KafkaConfig, listener: str, said: dict[str, str]) -> dict[str, str]:
    files = {name: str(cluster.authority.folder / value) for name, value in said.items() if name.endswith("_FILE")}
    own = {f"HELIOGRAPH_KAFKA__{name}": value for name, value in (said | files).items()}
    return environment_of(topics) | cluster.at(listener) | own


def config_of(monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> KafkaConfig:
    """As a role reads it."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HELIOGRAPH_KAFKA__ACKNOWLEDGED_MS", "10000")
    monkeypatch.setenv("HELIOGRAPH_KAFKA__REQUEST_TIMEOUT_S", "10")
    return kafka_config(settings())


@pytest.mark.parametrize(("listener", "said"), WAYS.values(), ids=WAYS)
async def test_a_way_in(
    cluster: Secured, topics: KafkaConfig, monkeypatch: pytest.MonkeyPatch, listener: str, said: dict[str, str]
) -> None:
    issued = json.dumps({"access_token": token("alice"), "expires_in": 300}).encode()
    async with provider(sized(issued)) as issuer:
        if "OAUTH_TOKEN_URL" in said:
            said = said | {"OAUTH_TOKEN_URL": issuer.url}
        log = await KafkaLog.open(config_of(monkeypatch, environment(cluster, topics, listener, said)))
        try:
            await (await log.writer()).append([batch(1)])
            reader = await log.reader([REQUESTS.name], group="somebody")
            records = await reader.poll(max_bytes=1 << 20, timeout=timedelta(seconds=10))
        finally:
            await log.close()
    assert [record.message for record in records] == [batch(1)]


@pytest.mark.parametrize(("listener", "said", "told"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_named(
    cluster: Secured, topics: KafkaConfig, monkeypatch: pytest.MonkeyPatch, listener: str, said: dict[str, str], told: str
) -> None:
    config = config_of(monkeypatch, environment(cluster, topics, listener, said))
    writer = KafkaWriter(config)
    with pytest.raises(NotAcknowledged) as refused:
        await writer.append([batch(1)])
    await writer.close()
    with pytest.raises(LogUnavailable) as closed:
        await KafkaLog.open(config)
    for message in (str(refused.value), str(closed.value)):
        assert told in message
        assert "wrong" not in message
        assert PASSWORD not in message


async def test_a_proxy_that_may_not_write_spills_and_drains_when_it_may(cluster: Secured, topics: KafkaConfig, tmp_path: Path) -> None:
    mallory = environment(cluster, topics, "SASL", ALICE | {"SASL_USERNAME": "mallory"})
    async with provider(sized()) as behind, proxy_at(tmp_path, mallory, behind.url) as proxy:
        answered = await calls(proxy, 3)
        told = await proxy.until(lambda told: told["log"] == "spilling" and "let this user read, write" in told["spill"]["reason"])
        assert told["status"] == "ready"
        await kafka.allow(topics, "User:mallory")
        answered += await calls(proxy, 3)
        await proxy.drained()
    (await arrived(topics)).holds_exactly(answered)


async def test_a_proxy_with_a_wrong_password_proxies_says_so_and_the_next_run_drains(
    cluster: Secured, topics: KafkaConfig, tmp_path: Path
) -> None:
    right = environment(cluster, topics, "SASLTLS", ALICE | CA)
    async with provider(sized()) as behind, proxy_at(tmp_path, right, behind.url, HELIOGRAPH_KAFKA__SASL_PASSWORD="not it") as proxy:
        answered = await calls(proxy, 3)
        told = await proxy.until(lambda told: "__SASL_PASSWORD" in told["spill"]["reason"])
        assert (told["status"], told["log"]) == ("ready", "spilling")
        await proxy.end()
        assert "not it" not in proxy.log
        await proxy.start()
        await proxy.drained()
    (await arrived(topics)).holds_exactly(answered)


FAUST_WAYS = [
    "TLS with our own certificate",
    "SCRAM-SHA-512, the default",
    "SCRAM-SHA-512 over TLS",
    "a token from a file",
    "a token from an issuer",
]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("way", FAUST_WAYS)
async def test_a_worker_comes_in_by_the_same_ways(cluster: Secured, topics: KafkaConfig, tmp_path: Path, way: str) -> None:
    """Its three clients, two of them faust's, are all who they should be."""
    listener, said = WAYS[way]
    issued = json.dumps({"access_token": token("alice"), "expires_in": 300}).encode()
    log = await KafkaLog.open(topics)
    async with provider(sized(issued)) as issuer:
        if "OAUTH_TOKEN_URL" in said:
            said = said | {"OAUTH_TOKEN_URL": issuer.url}
        workers = Workers(tmp_path, topics, **environment(cluster, topics, listener, said))
        try:
            workers.start()
            world = Cluster(topics, log, await log.writer())
            await world.write(message_of(RESPONSES, 0, BatchId("e" * 32, 1), [completed()]))
            await world.until(CALLS.name, lambda found: len(found) == 1, workers)
            await world.until_committed(RESPONSES.name, 1)
            await world.until_committed(CALLS.name, 1)  # the join has written its changelog
            assert workers.stop() == 0
        finally:
            workers.end()
            await log.close()
    assert PASSWORD not in workers.said()
