"""Which addresses are public, and that the answer of the name server that was judged is the one that is used."""

from ipaddress import ip_address

import pytest

from ingress.addresses import is_public, resolve
from ingress.errors import TargetRefused

PUBLIC = ["1.1.1.1", "8.8.8.8", "104.18.6.192", "2606:4700::6810:7c0", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.9.9.9",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "fc00::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_private(address: str) -> None:
    assert not is_public(ip_address(address))


SPELLINGS = ["127.0.0.1", "2130706433", "0177.0.0.1", "0x7f000001", "127.1", "::1", "::ffff:127.0.0.1", "localhost"]


@pytest.mark.parametrize("host", SPELLINGS)
async def test_every_spelling_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(TargetRefused) as refused:
        await resolve(host, 80, public_only=True)
    assert refused.value.field == "Helicone-Target-URL"


async def test_an_operator_may_go_anywhere() -> None:
    assert "127.0.0.1" in await resolve("localhost", 80, public_only=False)
