"""Which addresses a caller may have us connect to.

The judgement falls on the address that is connected to, after the name was resolved: a name server that answers differently a second
time is never asked a second time. How an address was spelled (decimal, octal, mapped into IPv6) no longer matters then.
"""

import asyncio
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from ingress.errors import TargetRefused, Unresolved

Address = IPv4Address | IPv6Address

NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the IPv4 address stands in the last 32 bits, and a translator goes there."""
GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that IANA has given out for the public network ("IPv6 Global Unicast Address Assignments", read 2026-11-24)."""
NEARBY = (
    IPv4Network("192.0.0.0/24"),  # RFC 6890: protocol assignments; 192.0.0.9 and .10 are the nearest router's
    IPv4Network("192.88.99.0/24"),  # RFC 7526: the nearest 6to4 relay, given up
    IPv4Network("168.63.129.16/32"),  # a virtual machine's own host on Azure, which tells secrets
)
"""Routable by the registries or by their look, and yet answered by the neighbourhood."""
DOCUMENTATION = IPv6Network("3fff::/20")
"""RFC 9637; Python 3.11 does not know of it."""


def is_public(address: Address) -> bool:
    """Globally routable unicast, by the IANA special-purpose registries as Python knows them; wrapped IPv4 is judged by what it wraps."""
    inner = _wrapped(address)
    if inner is not None:
        return is_public(inner)
    if isinstance(address, IPv6Address) and (address not in GLOBAL_UNICAST or address in DOCUMENTATION):
        return False
    if any(address in network for network in NEARBY):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _wrapped(address: Address) -> IPv4Address | None:
    if not isinstance(address, IPv6Address):
        return None
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


async def resolve(host: str, port: int, *, public_only: bool) -> list[str]:
    """Address literals of `host` in the order they should be tried.

    Raises Unresolved when there is none, TargetRefused when `public_only` and any of them is not public: a name that mixes public and
    private addresses is no name of an honest provider.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise Unresolved(f"The host {host} has no address. Check the target's spelling, and this machine's name server.") from error
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    if public_only:
        refused = [address for address in addresses if not is_public(ip_address(address))]
        if refused:
            raise TargetRefused(
                f"The target leads to {refused[0]}, which is no public address. "
                "The operator may allow it with HELIOGRAPH_ALLOW_PRIVATE_TARGETS=true.",
                field="Helicone-Target-URL",
            )
    return addresses
