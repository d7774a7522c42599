"""Providers' keys, sealed: opened by the same secret, for the same organization and provider, and by nothing else."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from eventlog.events import Organization
from eventlog.vault import ProviderKey, Sealed, Vault
from tests.fakes.keyring import MADE_AT

SECRET = "0123456789abcdef"
ACME = Organization("acme")


def kept(key: str, organization: Organization = ACME, provider: str = "openai") -> ProviderKey:
    sealed = Vault(SECRET).seal(organization, provider, key)
    return ProviderKey(organization=organization, provider=provider, sealed=sealed, shown=key[-4:], set_at=MADE_AT)


@given(st.text(max_size=50), st.text(max_size=20).map(Organization), st.text(max_size=20))
def test_what_was_sealed_is_opened(key: str, organization: Organization, provider: str) -> None:
    found = kept(key, organization, provider)
    assert Vault(SECRET).open(found) == key
    assert kept(key, organization, provider).sealed != found.sealed


def flipped(sealed: str, place: int) -> str:
    raw = bytearray(base64.b64decode(sealed))
    raw[place] ^= 1
    return base64.b64encode(raw).decode()


KEPT = kept("sk-secret")
WRONG = {
    "another organization": replace(KEPT, organization=Organization("globex")),
    "another provider": replace(KEPT, provider="anthropic"),
    "a cut between the two that is another": replace(KEPT, organization=Organization("acmeo"), provider="penai"),
    "another nonce": replace(KEPT, sealed=flipped(KEPT.sealed, 0)),
    "another text": replace(KEPT, sealed=flipped(KEPT.sealed, 13)),
    "another seal": replace(KEPT, sealed=flipped(KEPT.sealed, -1)),
    "nothing": replace(KEPT, sealed=""),
    "no Base64": replace(KEPT, sealed="?"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_was_tampered_with_is_not(wrong: ProviderKey) -> None:
    with pytest.raises(Sealed, match="another secret"):
        Vault(SECRET).open(wrong)


def test_another_secret() -> None:
    with pytest.raises(Sealed):
        Vault(SECRET + "0").open(KEPT)
    with pytest.raises(ValueError, match="at least 16 characters"):
        Vault("short")
