"""Whose address a request came from, and which addresses are one client's.

* What a proxy says of its clients is believed only of a proxy that the operator named, and only as far back as the
  chain consists of such: anybody can send an `X-Forwarded-For` of their own.
* An IPv6 client has a whole /64 (RFC 6177), so that is what counts as one; IPv4 inside IPv6 counts as IPv4.
* Nothing raises: what cannot be read ends the chain.

>>> network_of("2001:db8:1:2:3:4:5:6"), network_of("::ffff:192.0.2.7")
('2001:db8:1:2::/64', '192.0.2.7')
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Network = IPv4Network | IPv6Network

_CHAIN: Final = 32
"""Entries of `X-Forwarded-For` that are looked at."""


def parsed(text: str) -> IPv4Address | IPv6Address | None:
    """The address, IPv4 as such also where it is written as IPv6; `None` if it is none."""
    try:
        found = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


@lru_cache(4096)
def network_of(address: str) -> str:
    """By what name an address is counted."""
    found = parsed(address)
    if found is None:
        return address[:64]
    return str(IPv6Network((found, 64), strict=False)) if isinstance(found, IPv6Address) else str(found)


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Whether the address is in one of the networks."""
    if not networks:
        return False
    found = parsed(address)
    return found is not None and any(found in network for network in networks)


def client_of(peer: str, forwarded: str, proxies: Sequence[Network]) -> str:
    """The address of the client behind `proxies`: the last in the chain that is no proxy itself.

    `peer` is who connected, `forwarded` the `X-Forwarded-For` it sent.

    >>> from ipaddress import ip_network
    >>> proxies = [ip_network("10.0.0.0/8")]
    >>> client_of("10.0.0.1", "6.6.6.6, 198.51.100.7, 10.0.0.2", proxies)
    '198.51.100.7'
    >>> client_of("203.0.113.9", "198.51.100.7", proxies)
    '203.0.113.9'
    """
    last = peer
    for entry in reversed(forwarded.rsplit(",", _CHAIN)[-_CHAIN:]):
        if not is_within(last, proxies) or (found := parsed(entry)) is None:
            break
        last = str(found)
    return last
