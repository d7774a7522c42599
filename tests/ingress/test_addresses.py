"""Which addresses are public, and that the answer of the name server that was judged is the one that is used."""

import asyncio
import socket
from ipaddress import ip_address

import pytest

from ingress.addresses import is_public, resolve
from ingress.errors import Refused, TargetRefused, Unresolved
from ingress.upstream import Origin, Upstream

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "104.18.6.192",
    "2606:4700::6810:7c0",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
    "2001:4860:4860::8888",
]
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
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo of 127.0.0.1
    "2001:2::1",
    "2001:20::1",
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "168.63.129.16",
    "192.0.0.9",
    "192.88.99.1",
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


async def test_a_name_that_mixes_public_and_private_addresses_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", NameServer(["93.184.216.34", "10.0.0.1"]))
    with pytest.raises(TargetRefused, match="HELIOGRAPH_ALLOW_PRIVATE_TARGETS"):
        await resolve("mixed.example", 443, public_only=True)


async def test_the_address_that_was_judged_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that gives a public address first and this machine's afterwards is asked only once."""
    loop = asyncio.get_running_loop()
    names, connected = NameServer(["93.184.216.34"], ["127.0.0.1"]), []

    async def connect(_protocol: object, host: str, port: int, **_options: object) -> None:
        connected.append((host, port))
        raise ConnectionRefusedError

    monkeypatch.setattr(loop, "getaddrinfo", names)
    monkeypatch.setattr(loop, "create_connection", connect)
    upstream = Upstream()
    try:
        with pytest.raises(Refused):
            await upstream.send(Origin("http", "rebinding.example", 80), b"GET", b"/", [], None)
        assert connected == [("93.184.216.34", 80)]
        assert names.asked == 1
        with pytest.raises(TargetRefused):
            await upstream.send(Origin("http", "rebinding.example", 80), b"GET", b"/", [], None)
        assert len(connected) == 1
    finally:
        await upstream.aclose()


class NameServer:
    """Answers one list of addresses after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.asked = 0
        self._answers = answers

    async def __call__(self, _host: str, port: int, **_options: object) -> list[tuple[object, ...]]:
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self._answers[self.asked - 1]]


@pytest.mark.parametrize("host", ["a..b", "x" * 70, "", "nowhere.invalid"])
async def test_what_is_no_name_is_not_resolved(host: str) -> None:
    with pytest.raises((Unresolved, TargetRefused)):
        await resolve(host, 80, public_only=True)


async def test_an_operator_may_go_anywhere() -> None:
    assert "127.0.0.1" in await resolve("localhost", 80, public_only=False)
