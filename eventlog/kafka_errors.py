"""What goes wrong between us and a cluster, in the port's own words: each message names the setting and the remedy."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka import errors

import eventlog.kafka_mended  # noqa: F401 - whoever meets these errors talks to a cluster
from eventlog.kafka_config import KafkaConfig
from eventlog.kafka_metadata import OLDEST
from eventlog.port import LogUnavailable

_AUTHENTICATION = (errors.AuthenticationFailedError, errors.SaslAuthenticationFailed, errors.UnsupportedSaslMechanismError)
_AUTHORIZATION = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
)
_TOO_OLD = (NotImplementedError, errors.UnsupportedVersionError, errors.IncompatibleBrokerVersion, errors.UnrecognizedBrokerVersion)
NO_COORDINATOR = (errors.GroupCoordinatorNotAvailableError, errors.GroupLoadInProgressError, errors.NotCoordinatorForGroupError)
"""A cluster that is young makes the topic of positions first; one that lost a broker hands its groups to another."""
_ABSENT = (errors.UnknownTopicOrPartitionError,)


_WHO_WE_ARE = "HELIOGRAPH_KAFKA__SASL_MECHANISM, __SASL_USERNAME and __SASL_PASSWORD, or __OAUTH_TOKEN_FILE"


class NoToken(OSError):
    """A token for OAUTHBEARER cannot be had. The message names the setting."""


class TopicsUnfit(Exception):
    """The cluster's topics are not what we need: some are missing, or differ. The message names them, and the command that mends it."""

    retryable = False


@contextmanager
def naming(config: KafkaConfig) -> Iterator[None]:
    """Errors of aiokafka leave as LogUnavailable, with the remedy."""
    try:
        yield
    except (TimeoutError, errors.KafkaError, NotImplementedError, OSError) as error:
        raise LogUnavailable(_told(config, error)) from error


def _told(config: KafkaConfig, error: BaseException) -> str:
    where, text = f"Kafka at {config.bootstrap_servers}", f"{type(error).__name__}: {error}"[:300].rstrip(": ")
    match error:
        case NoToken():
            return f"There is no token to show to {where}: {error}"
        case ssl.SSLCertVerificationError():
            return (
                f"{where} shows a certificate that is not to be trusted ({text}); see HELIOGRAPH_KAFKA__CA_FILE, and whether the"
                " certificate names this host"
            )
        case ssl.SSLError():
            return (
                f"{where} does not speak TLS with us ({text}); see HELIOGRAPH_KAFKA__SECURITY_PROTOCOL,"
                " __BOOTSTRAP_SERVERS (its port), __CERT_FILE and __KEY_FILE"
            )
    if isinstance(error, errors.IllegalSaslStateError):
        return (
            f"{where} does not ask who we are: this port of it speaks no SASL; see HELIOGRAPH_KAFKA__SECURITY_PROTOCOL"
            f" ({config.security.value}) and __BOOTSTRAP_SERVERS (its port)"
        )
    if isinstance(error, NO_COORDINATOR):
        return (
            f"{where} does not keep the positions of consumer groups yet ({text}), as in its first seconds; try again soon."
            " If that goes on, see which brokers are down, and offsets.topic.replication.factor of the cluster"
        )
    if isinstance(error, _AUTHENTICATION):
        return f"{where} does not accept who we are ({text}); see {_WHO_WE_ARE}"
    if isinstance(error, _AUTHORIZATION):
        return f"{where} does not allow it ({text}); let this user read, write (IdempotentWrite too) and describe our topics and groups"
    if isinstance(error, _TOO_OLD):
        return f"{where} is too old ({text}); Heliograph needs Kafka {OLDEST} or newer"
    if isinstance(error, _ABSENT):
        return f"{where} lacks a topic or partition ({text}); run `heliograph topics check`"
    if isinstance(error, errors.MessageSizeTooLargeError):
        return f"{where} finds a message too large ({text}); run `heliograph topics check`"
    certificate = "" if config.tls is None else ", __CERT_FILE if it asks for one,"
    return (
        f"{where} cannot be reached, or does not answer ({text}); see HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS, __SECURITY_PROTOCOL{certificate}"
        " and whether the brokers run"
    )
