"""Whose address counts: chains of proxies, and what is one client."""

from ipaddress import ip_network

import pytest

from taskrepo.addresses import client_of, is_within, network_of

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "10.0.0.1", "203.0.113.9"),  # nobody's proxy says that
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.7", "198.51.100.7"),  # what the client sent itself does not count
        ("10.0.0.1", "198.51.100.7, 10.2.2.2, fd00::1", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.2, 10.0.0.3", "10.0.0.2"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, nonsense", "10.0.0.1"),
        ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("unix", "198.51.100.7", "unix"),
    ],
)
def test_only_named_proxies_are_believed(peer: str, forwarded: str, client: str) -> None:
    """The client is the last in the chain that is none of the operator's proxies."""
    assert client_of(peer, forwarded, PROXIES) == client


def test_without_proxies_nothing_is_believed() -> None:
    """An exchange that stands alone looks at no such field."""
    assert client_of("127.0.0.1", "198.51.100.7", ()) == "127.0.0.1"
    assert not is_within("127.0.0.1", ())


def test_a_long_chain_is_cut() -> None:
    """So many entries are looked at, from the end."""
    assert client_of("10.0.0.1", "198.51.100.7," + "10.0.0.2," * 100 + "10.0.0.3", PROXIES) == "10.0.0.2"


def test_one_client_is_one_network() -> None:
    """An IPv6 client is its /64, an IPv4 one its address, also inside IPv6; what is no address stands for itself."""
    same = {network_of(text) for text in ("2001:db8::1", "2001:db8::ffff", "2001:db8:0:0:1::")}
    assert same == {"2001:db8::/64"}
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("192.0.2.1") == network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("x" * 100) == "x" * 64
