"""Where the exchange may send what somebody asked it to send: which addresses of the internet, and which not.

* Only `http` and `https`, without a user or password in the address, to ports where a web server may be.
* An address counts by what a packet to it would reach: IPv4 inside IPv6 (mapped, 6to4, NAT64) counts as both.
* Everything that is not of the public internet is refused, unless the operator has named its network.
* A name says nothing; what is judged is every address it stands for, by whoever connects, and only these are used.

>>> destination("https://hooks.example.org/taskrepo?to=us")
Destination(scheme='https', host='hooks.example.org', port=443, target='/taskrepo?to=us')
>>> fault("169.254.169.254"), fault("::ffff:10.0.0.1"), fault("93.184.215.14")
('is not of the public internet', 'is not of the public internet', '')
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final
from urllib.parse import urlsplit

from taskrepo.errors import Invalid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL: Final = 2000
_PORTS: Final = {"http": 80, "https": 443}
_LEAST_FREE: Final = 1024
# Of those above: what the Fetch standard calls bad ports, and databases that take lines of text for commands.
_CLOSED: Final = frozenset(
    (1719, 1720, 1723, 2049, 2375, 2376, 2379, 3306, 3659, 4045, 4190, 5060, 5061, 5432, 6000, 6379, 6566, 6665, 6666,
     6667, 6668, 6669, 6679, 6697, 9200, 9300, 10080, 10250, 11211, 27017)
)  # fmt: skip
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?|[0-9A-Fa-f:.]{2,45}")
_TARGET: Final = re.compile(r"[!$-;=?-\[\]_a-z~]*")  # visible ASCII that an address may have as it is
_NAT64: Final = IPv6Network("64:ff9b::/96")
# Of no public use, whatever the table that comes with Python says: it has become longer over the years.
_APART: Final = tuple(ip_network(text) for text in (
    "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24",
    "64:ff9b:1::/48", "100::/64", "2001::/23", "3fff::/20", "5f00::/16",
))  # fmt: skip
_COMPATIBLE: Final = IPv6Network("::/96")
_ISATAP: Final = (0x00005EFE, 0x02005EFE)
# Of the public internet by its number, and yet a door into the machine that asks: Azure's.
_METADATA: Final = frozenset({IPv4Address("168.63.129.16")})


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request goes: `target` is the path with the query, as the request line has it."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """What the `Host` field says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def destination(url: str) -> Destination:
    """The parts of an address. Raises `Invalid("invalid-field", "url")` for one that nothing is sent to."""
    if len(url) > MAX_URL:
        raise _wrong(f"is longer than {MAX_URL:,} characters")
    if not (url.isascii() and url.isprintable()):  # of which urlsplit drops some in silence
        raise _wrong("has characters that an address cannot have as they are")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _wrong("is not an address like https://example.org/hook") from None
    if parts.scheme not in _PORTS or not host:
        raise _wrong("is not an address like https://example.org/hook")
    if "@" in parts.netloc:
        raise _wrong("has a user or a password in it; sign-ins do not belong into addresses")
    if not _HOST.fullmatch(host):
        raise _wrong("has a host that is no name in ASCII and no number")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.fragment or not _TARGET.fullmatch(target):
        raise _wrong("has characters that an address cannot have as they are")
    number = _PORTS[parts.scheme] if port is None else port
    if number not in _PORTS.values() and (number < _LEAST_FREE or number in _CLOSED):
        raise _wrong(f"has the port {number}, where no web server is: 80, 443 and most from {_LEAST_FREE} on will do")
    return Destination(parts.scheme, host, number, target)


def fault(address: str, networks: Iterable[Network] = ()) -> str:
    """Why nothing is sent to this IP address, or the empty string. `networks` are those the operator allows besides."""
    try:
        found = ip_address(address)
    except ValueError:
        return "is no IP address"
    allowed = tuple(networks)
    return next(filter(None, (_fault(each, allowed) for each in _reached(found))), "")


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks as an operator writes them: `127.0.0.0/8`, `fd00::/8`. Raises `Invalid("bad-network")`."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text.strip()))
        except ValueError as error:
            raise Invalid("bad-network", text[:60], f"is not a network like 10.1.0.0/16: {error}") from None
    return tuple(found)


def literal(host: str) -> str:
    """The host if it is an IP address and no name, else the empty string."""
    try:
        return str(ip_address(host))
    except ValueError:
        return ""


def _fault(address: Address, allowed: tuple[Network, ...]) -> str:
    if any(address in network for network in allowed):
        return ""
    public = address.is_global and not any(address in network for network in _APART) and not (
        address.is_multicast or address.is_reserved or address.is_link_local or address in _METADATA
        or (isinstance(address, IPv6Address) and (address.is_site_local or address.scope_id is not None))
    )  # fmt: skip
    return "" if public else "is not of the public internet"


def _reached(address: Address) -> Iterator[Address]:
    """The address, unless it is only another way to write an IPv4 one, and every IPv4 address inside it."""
    if isinstance(address, IPv4Address):
        yield address
        return
    last = IPv4Address(int(address) & 0xFFFFFFFF)
    if address.ipv4_mapped is not None or address in _NAT64:
        yield last
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if (address in _COMPATIBLE and int(address) > 1) or int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
        yield last


def _wrong(message: str) -> Invalid:
    return Invalid("invalid-field", "url", message)
