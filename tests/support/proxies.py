"""nginx and Caddy as our examples set them up, on free ports, with a certificate of their own, before an exchange.

>>> with proxied("nginx", tmp_path, site.port) as proxy:                                # doctest: +SKIP
...     proxy.pool().request("GET", f"{proxy.url}/login").status
200
"""

import datetime
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.waiting import PATIENCE, until

EXAMPLES: Final = Path(__file__).parents[2] / "data" / "examples" / "deploy"
_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
_NGINX: Final = """\
{user}daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""
_AS_ROOT: Final = "user root;\n" if os.geteuid() == 0 else ""  # else its own user could not write its folders


@dataclass(frozen=True)
class Proxy:
    """A running proxy. `authority` is the certificate that its clients trust."""

    url: str
    authority: Path
    log: Path

    def pool(self, source: str = "127.0.0.1") -> urllib3.PoolManager:
        """A client at this address."""
        return urllib3.PoolManager(
            retries=False, timeout=PATIENCE, ca_certs=str(self.authority), source_address=(source, 0), maxsize=4
        )


def installed(name: str) -> bool:
    """Whether the proxy can be run here."""
    return shutil.which(name, path=_PATH) is not None


def certificate(folder: Path) -> tuple[Path, Path]:
    """A new certificate of this machine, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1)).add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    public, private = folder / "cert.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))  # fmt: skip
    return public, private


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _nginx(folder: Path, port: int, upstream: int, other: int, public: Path, private: Path) -> list[str]:
    site = (EXAMPLES / "nginx.conf").read_text()
    if other:
        site, count = re.subn(r"# (hash .*;|server 127\.0\.0\.1:8754;)", r"\1", site)
        assert count == 2
        site = site.replace("127.0.0.1:8754", f"127.0.0.1:{other}")
    for pattern, new in (
        (r"listen 80;", f"listen 127.0.0.1:{_free()};"),
        (r"listen 443 ", f"listen 127.0.0.1:{port} "),
        (r"server_name tasks\.example\.org;", "server_name localhost 127.0.0.1;"),
        (r"/etc/ssl/tasks\.example\.org\.pem", str(public)),
        (r"/etc/ssl/private/tasks\.example\.org\.key", str(private)),
        (r"127\.0\.0\.1:8753", f"127.0.0.1:{upstream}"),
    ):
        site, count = re.subn(pattern, new, site)
        assert count, pattern
    (folder / "site.conf").write_text(site)
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, user=_AS_ROOT))
    return ["nginx", "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]


def _caddy(folder: Path, port: int, upstream: int, public: Path, private: Path) -> list[str]:
    site = (EXAMPLES / "Caddyfile").read_text().replace("127.0.0.1:8753", f"127.0.0.1:{upstream}")
    head = "{\n\tadmin off\n\tauto_https off\n\tskip_install_trust\n}\n"
    head += f"https://127.0.0.1:{port} {{\n\ttls {public} {private}"
    assert "tasks.example.org {" in site
    (folder / "Caddyfile").write_text(head + site.partition("\ntasks.example.org {")[2])
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@contextmanager
def proxied(name: str, folder: Path, upstream: int, other: int = 0) -> Iterator[Proxy]:
    """The proxy before a server on this machine, and for nginx perhaps an `other` one, until the block ends."""
    folder.mkdir()
    port, (public, private) = _free(), certificate(folder)
    if name == "nginx":
        command = _nginx(folder, port, upstream, other, public, private)
    else:
        command = _caddy(folder, port, upstream, public, private)
    log = folder / "output.log"
    environment = {"PATH": _PATH, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    proxy = Proxy(f"https://127.0.0.1:{port}", public, log)
    try:
        until(lambda: _answers(port) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield proxy
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _answers(port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as sock, context.wrap_socket(sock):
        return True
    return False
