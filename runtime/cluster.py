"""The settings of Kafka as the values that `eventlog` takes, and the log that the settings mean."""

import asyncio
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import certifi
import httpx2
from aiokafka.abc import AbstractTokenProvider

from eventlog.embedded import EmbeddedLog
from eventlog.kafka import KafkaLog
from eventlog.kafka_config import Credentials, KafkaConfig, Mechanism, Security
from eventlog.kafka_errors import NoToken, TopicsUnfit
from eventlog.outages import Outage
from eventlog.port import LogUnavailable
from eventlog.waiting import stopped_within
from runtime.settings import Kafka, Misconfigured, Settings

ESCAPED = 6
"""A byte of a body becomes at most so many in JSON: `\\u0001`."""
FACTS_BYTES = 1 << 20
RETRY_S = 2.0
TOKEN_EARLY_S = 60.0
"""A token is asked for anew so long before it expires."""


def kafka_config(chosen: Settings) -> KafkaConfig:
    """Raises Misconfigured."""
    kafka = chosen.kafka
    if kafka.bootstrap_servers is None:
        raise Misconfigured("This needs Kafka: set HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS. On one machine without it, use `heliograph up`.")
    return KafkaConfig(
        bootstrap_servers=kafka.bootstrap_servers,
        topic_prefix=kafka.topic_prefix,
        client_id=kafka.client_id,
        security=kafka.security_protocol,
        credentials=_credentials(kafka),
        tls=_tls(kafka),
        compression=kafka.compression,
        acks=kafka.acks,
        partitions=kafka.partitions,
        replication=kafka.replication,
        min_insync_replicas=kafka.min_insync_replicas,
        retention=chosen.kafka_retention(),
        retention_bytes=kafka.retention_bytes,
        max_message_bytes=kafka.max_message_bytes or ESCAPED * chosen.body_limit + FACTS_BYTES,
        acknowledged_within_s=kafka.acknowledged_ms / 1000,
        request_timeout_s=kafka.request_timeout_s,
        session_timeout_s=kafka.session_timeout_s,
    )


async def open_log(
    chosen: Settings, stop: asyncio.Event, waiting: Callable[[], None], outage: Outage | None = None
) -> EmbeddedLog | KafkaLog | None:
    """The log to read from. A cluster that cannot be reached is waited for, until `stop`: then None.

    `waiting` hears that we wait, and `outage` says why.

    Raises Misconfigured for topics that are not fit to be read, and what the embedded log raises.
    """
    if not chosen.on_kafka:
        return await EmbeddedLog.open(chosen.log_dir, fsync=chosen.ingress().strict)
    config, outage = kafka_config(chosen), outage or Outage()
    while not stop.is_set():
        try:
            found = await KafkaLog.open(config)
            outage.over()
            return found
        except TopicsUnfit as error:
            raise Misconfigured(str(error)) from error
        except LogUnavailable as error:
            outage.goes_on(error)
            waiting()
        await stopped_within(stop, RETRY_S)
    return None


def _credentials(kafka: Kafka) -> Credentials | None:
    if kafka.security_protocol not in {Security.SASL_PLAINTEXT, Security.SASL_SSL}:
        return None
    if kafka.sasl_mechanism is Mechanism.OAUTHBEARER:
        return Credentials(mechanism=kafka.sasl_mechanism, tokens=_tokens(kafka))
    if not kafka.sasl_username or not kafka.sasl_password.get_secret_value():
        raise Misconfigured(
            f"HELIOGRAPH_KAFKA__SECURITY_PROTOCOL={kafka.security_protocol.value} needs HELIOGRAPH_KAFKA__SASL_USERNAME and"
            " HELIOGRAPH_KAFKA__SASL_PASSWORD."
        )
    return Credentials(mechanism=kafka.sasl_mechanism, username=kafka.sasl_username, password=kafka.sasl_password.get_secret_value())


def _tokens(kafka: Kafka) -> AbstractTokenProvider:
    if kafka.oauth_token_file is not None:
        return FileTokens(kafka.oauth_token_file)
    if kafka.oauth_token_url is not None:
        return IssuedTokens(kafka.oauth_token_url, kafka.oauth_client_id, kafka.oauth_client_secret.get_secret_value(), kafka.oauth_scope)
    raise Misconfigured(
        "HELIOGRAPH_KAFKA__SASL_MECHANISM=OAUTHBEARER needs HELIOGRAPH_KAFKA__OAUTH_TOKEN_FILE, or HELIOGRAPH_KAFKA__OAUTH_TOKEN_URL"
        " with __OAUTH_CLIENT_ID and __OAUTH_CLIENT_SECRET."
    )


def _tls(kafka: Kafka) -> ssl.SSLContext | None:
    if kafka.security_protocol not in {Security.SSL, Security.SASL_SSL}:
        return None
    password = None if kafka.key_password is None else kafka.key_password.get_secret_value()
    try:
        context = ssl.create_default_context(cafile=str(kafka.ca_file or certifi.where()))
        if kafka.cert_file is not None:
            context.load_cert_chain(kafka.cert_file, kafka.key_file, password)
    except (OSError, ssl.SSLError) as error:
        names = "HELIOGRAPH_KAFKA__CA_FILE, __CERT_FILE, __KEY_FILE and __KEY_PASSWORD"
        raise Misconfigured(f"The certificates for Kafka cannot be used ({error}): see {names}.") from error
    return context


class FileTokens(AbstractTokenProvider):
    """Tokens that somebody else keeps fresh in a file, as a cluster's secret store does."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        try:
            return (await asyncio.to_thread(self._path.read_text)).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NoToken(f"{self._path} cannot be read ({error}); see HELIOGRAPH_KAFKA__OAUTH_TOKEN_FILE") from error


class IssuedTokens(AbstractTokenProvider):
    """Tokens from an issuer, by client credentials (RFC 6749, section 4.4), kept until shortly before they expire."""

    def __init__(self, url: str, client_id: str, client_secret: str, scope: str) -> None:
        self._url = url
        self._who = (client_id, client_secret)
        self._form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
        self._token = ""
        self._expires = 0.0

    async def token(self) -> str:
        if time.monotonic() >= self._expires:
            try:
                await self._renew()
            except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError) as error:
                told = f"{type(error).__name__}: {error}"[:200].rstrip(": ")
                raise NoToken(f"{self._url} gave none ({told}); see HELIOGRAPH_KAFKA__OAUTH_TOKEN_URL") from error
        return self._token

    async def _renew(self) -> None:
        async with httpx2.AsyncClient(timeout=10) as client:
            answer = await client.post(self._url, data=self._form, auth=self._who)
        if answer.status_code >= 400:
            raise NoToken(f"{self._url} answered {answer.status_code}; see HELIOGRAPH_KAFKA__OAUTH_CLIENT_ID and __OAUTH_CLIENT_SECRET")
        told = json.loads(answer.content)
        self._token = str(told["access_token"])
        self._expires = time.monotonic() + max(0.0, float(told.get("expires_in", 300)) - TOKEN_EARLY_S)
