"""Requests to addresses that others gave: each goes to a checked address, and nothing it meets can hold it up."""

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from taskrepo.destinations import networks
from taskrepo.outbound import Answer, Outbound, addresses
from tests.support.receiver import receiving
from tests.support.waiting import PATIENCE, over, until

HERE = networks(["127.0.0.0/8"])
NAME = "hooks.example.org"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

Talk = Callable[[socket.socket], None]


@contextmanager
def listening(talk: Talk, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a server that does `talk` with each client, after a TLS handshake if there is a context."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), client:
                    wrapped = context.wrap_socket(client, server_side=True) if context else client
                    with wrapped:
                        talk(wrapped)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
    over(thread)


def request(sock: socket.socket) -> bytes:
    """A request of `post`."""
    data = b""
    while not data.endswith(b"{}") and (more := sock.recv(65536)):
        data += more
    return data


def answering(data: bytes, heard: list[bytes]) -> Talk:
    """Read a request to its end, then answer."""

    def talk(sock: socket.socket) -> None:
        heard.append(request(sock))
        sock.sendall(data)

    return talk


def outbound(**options: object) -> Outbound:
    """One that may go to this machine, and finds every name here."""
    options = {"seconds": PATIENCE, "resolve": lambda host, port: ["127.0.0.1"], **options}
    return Outbound(HERE, **options)  # type: ignore[arg-type]


def post(sender: Outbound, url: str) -> Answer:
    """What comes of a small request."""
    return sender.post(url, b"{}", {"X-Mark": "1"})


# ── where it goes ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_name_is_looked_up_once_and_every_address_of_it_checked() -> None:
    """One bad address among good ones is enough to refuse; what the name means a moment later is no matter."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    heard: list[bytes] = []
    with listening(answering(OK, heard)) as port:
        answer = post(outbound(resolve=rebinding), f"http://{NAME}:{port}/a?b=c")
    assert (answer.status, answer.ok, asked) == (200, True, [NAME])
    assert heard[0].startswith(b"POST /a?b=c HTTP/1.1\r\n") and f"Host: {NAME}:{port}\r\n".encode() in heard[0]
    assert b"X-Mark: 1" in heard[0]
    for found in (["93.184.215.14", "169.254.169.254"], ["::1"], ["10.0.0.1"]):
        refused = post(outbound(resolve=lambda host, port, found=found: found), f"http://{NAME}:{port}/")
        assert (refused.status, refused.said) == (None, f"{NAME} has an address that is not of the public internet")
    assert "10.0.0.1 is not" in post(outbound(resolve=addresses), "http://10.0.0.1/").said


def test_no_proxy_and_no_redirect(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says of proxies is not heard, and an address in an answer is not gone to."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    heard: list[bytes] = []
    with receiving() as elsewhere:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {elsewhere.url}\r\nContent-Length: 0\r\n\r\n".encode()
        with listening(answering(moved, heard)) as port:
            answer = post(outbound(), f"http://{NAME}:{port}/")
        assert (answer.status, answer.ok, len(heard), elsewhere.came) == (307, False, 1, [])


def test_the_next_address_is_tried_when_nobody_is_at_the_first() -> None:
    """A name with several addresses reaches the one that answers; a name with none says so."""
    heard: list[bytes] = []
    with listening(answering(OK, heard)) as port:
        sender = outbound(resolve=lambda host, port: ["127.0.0.2", "127.0.0.1"])
        assert post(sender, f"http://{NAME}:{port}/").ok
    assert "refused" in post(outbound(), f"http://{NAME}:{port}/").said.lower()

    def nowhere(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    assert "has no address (no such name)" in post(outbound(resolve=nowhere), f"http://{NAME}/").said
    assert "no address" in post(outbound(resolve=lambda host, port: []), f"http://{NAME}/").said
    with pytest.raises(OSError, match="is no name"):
        addresses("a" * 70 + ".example", 80)
    assert "127.0.0.1" in addresses("127.0.0.1", 80)


# ── TLS ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def certified(folder: Path, *names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The context of a server with a certificate for these names, and that of a client who trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([_named(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    (folder / "both.pem").write_bytes(private + public)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "both.pem")
    return server, ssl.create_default_context(cadata=public.decode())


def _named(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def test_tls_is_with_the_name_and_not_with_the_address(tmp_path: Path) -> None:
    """The server is told the name, and its certificate must be good for it and from somebody who is trusted."""
    server, client = certified(tmp_path, NAME)
    told: list[str | None] = []
    server.sni_callback = lambda sock, name, context: told.append(name)
    heard: list[bytes] = []
    with listening(answering(OK, heard), server) as port:
        assert post(outbound(context=client), f"https://{NAME}:{port}/").ok
        wrong = post(outbound(context=client), f"https://other.example.org:{port}/")
        stranger = post(outbound(), f"https://{NAME}:{port}/")
        numbered = post(outbound(context=client), f"https://127.0.0.1:{port}/")
    assert told[0] == NAME and len(heard) == 1 and f"Host: {NAME}".encode() in heard[0]
    assert [each.status for each in (wrong, stranger, numbered)] == [None] * 3
    assert "certificate is not good" in wrong.said and "certificate is not good" in stranger.said


# ── how long it takes ───────────────────────────────────────────────────────────────────────────────────────────────


def _drip(sock: socket.socket) -> None:
    """A head that never ends, a little at a time."""
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        sock.sendall(b"X-More: and more\r\n")
        time.sleep(0.05)


def _silent(sock: socket.socket) -> None:
    while sock.recv(4096):
        pass


def _never_shakes_hands(sock: socket.socket) -> None:
    """The beginning of a handshake that never ends."""
    sock.sendall(b"\x16\x03\x03\x3f\xff")
    while True:
        sock.sendall(b"\x00")
        time.sleep(0.05)


@pytest.mark.parametrize(("talk", "scheme"), [(_drip, "http"), (_silent, "http"), (_never_shakes_hands, "https")])
def test_the_whole_exchange_has_a_limit(talk: Talk, scheme: str) -> None:
    """However slowly bytes come, and if none come at all, it ends as a failure."""
    with listening(talk) as port:
        answer = post(outbound(seconds=0.5), f"{scheme}://{NAME}:{port}/")
    assert (answer.status, answer.said) == (None, "took too long")


def test_a_long_body_is_not_read_to_its_end() -> None:
    """The status counts; of what follows little is read. What is no HTTP is a failure."""
    heard: list[bytes] = []

    def endless(sock: socket.socket) -> None:
        heard.append(request(sock))
        sock.sendall(b"HTTP/1.1 201 Created\r\nRetry-After: 7\r\nContent-Length: 99999999999\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(b"x" * 65536)
        heard.append(b"cut")

    with listening(endless) as port:
        answer = post(outbound(), f"http://{NAME}:{port}/")
        until(lambda: heard[-1] == b"cut")
    assert (answer.status, answer.retry_after) == (201, "7")
    with listening(answering(b"SSH-2.0-OpenSSH\r\n\r\n", heard)) as port:
        assert post(outbound(), f"http://{NAME}:{port}/").status is None


def test_closing_ends_what_is_on_its_way() -> None:
    """Whoever waits for an answer is told that there will be none, and nothing more is sent."""
    sender, answers, reached = outbound(), [], threading.Event()

    def stuck(sock: socket.socket) -> None:
        reached.set()
        _silent(sock)

    with listening(stuck) as port:
        waiting = threading.Thread(target=lambda: answers.append(post(sender, f"http://{NAME}:{port}/")))
        waiting.start()
        assert reached.wait(PATIENCE)
        sender.close()
        over(waiting)
        assert answers[0].status is None
        assert "closing" in post(sender, f"http://{NAME}:{port}/").said
