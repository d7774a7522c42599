"""Providers' keys that Heliograph keeps for its callers, sealed: without the secret they are nobody's, on the topic and in its copies.

AES-256-GCM (NIST SP 800-38D) with a nonce of its own for every sealing; organization and provider are sealed with the key, so that none can
be put in another's place. The cipher's key is drawn from the operator's secret by HKDF-SHA256 (RFC 5869).
"""

import base64
import binascii
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from eventlog.events import Instant, Organization

LEAST_SECRET = 16
"""Characters; fewer could be tried out."""
NONCE_BYTES = 12


class ProviderKey(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="decision", tag="provider-key"):
    """The key by which an organization's calls are known to a provider. What was decided last for both counts."""

    organization: Organization
    """Whose calls it is for."""
    provider: str
    """The provider's name, as in routes."""
    sealed: str
    """Base64 of the nonce and what was sealed."""
    shown: str
    """The last characters of the key, to tell it from another."""
    set_at: Instant
    """When it was set."""


class Sealed(Exception):
    """It cannot be opened with this secret."""


class Vault:
    """Seals and opens by one secret. Raises ValueError for one that is too short."""

    def __init__(self, secret: str) -> None:
        if len(secret) < LEAST_SECRET:
            raise ValueError(f"a secret of at least {LEAST_SECRET} characters is needed; `openssl rand -hex 32` makes one")
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"heliograph provider keys").derive(secret.encode())
        self._cipher = AESGCM(derived)

    def seal(self, organization: Organization, provider: str, key: str) -> str:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, key.encode(), _bound(organization, provider))).decode()

    def open(self, kept: ProviderKey) -> str:
        """Raises Sealed."""
        try:
            raw = base64.b64decode(kept.sealed, validate=True)
            return self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound(kept.organization, kept.provider)).decode()
        except (InvalidTag, binascii.Error, ValueError):
            raise Sealed(f"the key of {kept.provider} for {kept.organization} was sealed with another secret") from None


def _bound(organization: Organization, provider: str) -> bytes:
    return b"%d:%b%b" % (len(organization.encode()), organization.encode(), provider.encode())
