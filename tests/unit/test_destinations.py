"""Where webhooks may go: what reaches anything but the public internet is refused, however it is written."""

import pytest

from taskrepo.destinations import destination, fault, literal, networks
from taskrepo.errors import Invalid
from tests.support.cases import each

INSIDE = (
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "168.63.129.16", "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254",
    "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::ffff:0:10.0.0.1", "::127.0.0.1",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe", "2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:10.0.0.1",
    "2606:4700::1%eth0", "localhost", "", "127.1", "0x7f000001", "2130706433",
)  # fmt: skip
OUTSIDE = (
    "93.184.215.14", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
    "2606:4700::5efe:8.8.8.8",
)  # fmt: skip


def test_addresses_inside_are_refused() -> None:
    """Loopback, private, link-local, metadata, reserved and multicast addresses, also those hidden in IPv6."""

    def refused(address: str) -> None:
        assert fault(address)

    each(INSIDE, refused)


def test_addresses_of_the_internet_are_allowed() -> None:
    """What is public may be sent to, and IPv4 inside IPv6 counts as what it is."""

    def allowed(address: str) -> None:
        assert fault(address) == ""

    each(OUTSIDE, allowed)


def test_an_operator_can_allow_networks() -> None:
    """A named network is allowed in any writing, and nothing besides."""
    mine = networks(["127.0.0.0/8", "fd00::/8"])
    assert [fault(address, mine) for address in ("127.0.0.1", "::ffff:127.0.0.1", "fd00::1")] == ["", "", ""]
    assert fault("10.0.0.1", mine) and fault("::1", mine) and fault("2002:0a00:1::", mine)
    for text in ("here", "10.0.0.1/8", "10.0.0.0/33"):
        with pytest.raises(Invalid, match="bad-network"):
            networks([text])


def test_parts_of_an_address() -> None:
    """Scheme, host, port and target are told apart; `Host` has the port only if it is not the scheme's own."""
    plain = destination("http://Example.org")
    assert (plain.host, plain.port, plain.target, plain.authority) == ("example.org", 80, "/", "example.org")
    odd = destination("https://[2606:4700::1]:8443/a%20b?x=[1]&y='")
    assert (odd.host, odd.port, odd.target) == ("2606:4700::1", 8443, "/a%20b?x=[1]&y='")
    assert odd.authority == "[2606:4700::1]:8443"
    assert destination("https://example.org:443/").authority == "example.org"
    assert (literal("example.org"), literal("::1")) == ("", "::1")


def test_addresses_that_are_none() -> None:
    """Other schemes, sign-ins, ports of other services, and bytes that could break a request line are refused."""

    def refused(url: str) -> None:
        with pytest.raises(Invalid) as told:
            destination(url)
        assert (told.value.code, told.value.where) == ("invalid-field", "url")

    each((
        "", "example.org", "/hook", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/", "https://",
        "https://alice@example.org/", "https://a:b@example.org/", "https://@example.org/", "https://example.org:22/",
        "https://example.org:6379/", "https://example.org:0/", "https://example.org:99999/", "https://example.org:x/",
        "https://exa mple.org/", "https://exämple.org/", "https://example.org/a b", "https://example.org/\r\nX: y", "https://exa\nmple.org/",
        "https://example.org/#part", "https://example.org/ä", "https://[::1/", "https://[fe80::1%25eth0]/",
        "https://example.org/" + "a" * 2000, "https://-example.org/", "https://example.org\\@evil.example/",
    ), refused)  # fmt: skip
