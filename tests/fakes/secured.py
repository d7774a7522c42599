"""A broker that wants to know who comes: listeners with TLS and SASL, certificates and users for them, and an authorizer."""

import base64
import json
import time
from dataclasses import dataclass
from pathlib import Path

from runtime.local_kafka import Broker, Listener
from tests.fakes.certificates import Authority
from tests.fakes.kafka import free_port, local_broker

PASSWORD = "right: $ecret"
JAAS = "org.apache.kafka.common.security"
PROTOCOLS = {"TLS": "SSL", "MUTUAL": "SSL", "SASL": "SASL_PLAINTEXT", "SASLTLS": "SASL_SSL"}
"""Of each listener, by its name. `MUTUAL` asks clients for a certificate."""


@dataclass
class Secured:
    """`alice` and the certificate of `client` may do everything; `mallory` is known, and may do nothing."""

    broker: Broker
    authority: Authority
    ports: dict[str, int]

    def at(self, listener: str) -> dict[str, str]:
        """The settings that lead there."""
        return {
            "HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{self.ports[listener]}",
            "HELIOGRAPH_KAFKA__SECURITY_PROTOCOL": PROTOCOLS[listener],
        }


def secured(folder: Path) -> Secured:
    """Not started yet."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder)
    certificate, key = authority.issue("server", "127.0.0.1", "localhost")
    store = folder / "server-store.pem"
    store.write_text(key.read_text() + certificate.read_text())
    plain = f'{JAAS}.plain.PlainLoginModule required user_alice="{PASSWORD}" user_mallory="{PASSWORD}";'
    token = f'{JAAS}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
    properties = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(store),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": authority.file,
        "listener.name.mutual.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:alice;User:CN=client",
    }
    for listener in ("sasl", "sasltls"):
        start = f"listener.name.{listener}"
        properties |= {
            f"{start}.plain.sasl.jaas.config": plain,
            f"{start}.scram-sha-256.sasl.jaas.config": f"{JAAS}.scram.ScramLoginModule required;",
            f"{start}.scram-sha-512.sasl.jaas.config": f"{JAAS}.scram.ScramLoginModule required;",
            f"{start}.oauthbearer.sasl.jaas.config": token,
        }
    ports = {name: free_port() for name in PROTOCOLS}
    listeners = [Listener(name, ports[name], protocol) for name, protocol in PROTOCOLS.items()]
    broker = local_broker(folder / "broker", properties, listeners=listeners, scram_users={"alice": PASSWORD, "mallory": PASSWORD})
    return Secured(broker, authority, ports)


def token(subject: str, *, life_s: float = 300) -> str:
    """A token that nobody signed: the broker's own validator for tests takes it (RFC 7515, appendix A.5)."""
    now = time.time()

    def part(of: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(of).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none'})}.{part({'sub': subject, 'iat': now, 'exp': now + life_s})}."
