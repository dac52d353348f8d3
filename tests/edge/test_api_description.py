"""The API's description against what is served, and what the framework itself answers."""

import json
import re
from collections.abc import Iterator

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from taskrepo.web import api, openapi
from tests.support.http import Site, running, served


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for the module."""
    with running(tmp_path_factory.mktemp("site")) as running_site:
        yield running_site


def test_the_description_is_valid() -> None:
    """The document is OpenAPI 3.1 by an independent validator."""
    OpenAPIV31SpecValidator(openapi.document("https://tasks.example.org")).validate()


def test_every_call_is_described_and_every_description_is_served() -> None:
    """The operations of the document are exactly the routes."""
    served_calls = {(method.lower(), re.sub(r"<([a-z0-9]+)[^>]*>", r"{\1}", path)) for method, path, _ in api.ROUTES}
    described = {(m, path) for path, operations in openapi.document()["paths"].items() for m in operations}
    assert described == served_calls
    names = [o["operationId"] for operations in openapi.document()["paths"].values() for o in operations.values()]
    assert len(names) == len(set(names))


def test_the_description_is_served_without_a_key(site: Site) -> None:
    """Anybody may read what the API is; the address in it is the one the exchange was given."""
    answer = site.get("", "/openapi.json")
    assert (answer.status, answer.json) == (200, json.loads(json.dumps(openapi.document())))
    with served(site.exchange, base_url="https://tasks.example.org") as url:
        other = Site(site.exchange, url, site.keys)
        try:
            assert other.get("", "/openapi.json").json["servers"] == [{"url": "https://tasks.example.org"}]
        finally:
            other.close()


def test_unknown_addresses(site: Site) -> None:
    """What is not offered answers 404 as a problem, with any method, key or not."""
    before = site.head()
    for path in ("/nothing", "/uploads/x", "/tasks/", "//tasks", "/api/v1/../v1/tasks/x/y/z", "/me/x", "/tasks/a/b/c"):
        for method in ("GET", "POST", "PUT", "DELETE"):
            answer = site.call("bob", method, f"/api/v1{path}" if not path.startswith("/api") else path)
            assert (path, answer.status, answer.code) == (path, 404, "not-found")
    assert site.call("", "GET", "/api/").headers["Content-Type"] == "application/problem+json"
    assert site.head() == before


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/tasks", "GET, HEAD, OPTIONS, POST"),
        ("PUT", "/me", "GET, HEAD, OPTIONS"),
        ("GET", "/queue/claim", "OPTIONS, POST"),
        ("HEAD", "/queue/claim", "OPTIONS, POST"),
        ("TRACE", "/stats", "GET, HEAD, OPTIONS"),
        ("PATCH", "/tasks/abcd", "GET, HEAD, OPTIONS"),
        ("GET", "/tasks/abcd/claim", "OPTIONS, POST"),
    ],
)
def test_other_methods(site: Site, method: str, path: str, allow: str) -> None:
    """A method that an address does not take answers 405 and says which it takes."""
    answer = site.call("bob", method, path)
    assert (answer.status, answer.headers["Allow"]) == (405, allow)
    if method != "HEAD":
        assert (answer.code, answer.json["allow"]) == ("method-not-allowed", allow.split(", "))


def test_options(site: Site) -> None:
    """OPTIONS names the methods of an address, and nothing for one that does not exist."""
    answer = site.call("", "OPTIONS", "/tasks")
    assert (answer.status, answer.headers["Allow"], answer.body) == (204, "GET, HEAD, OPTIONS, POST", b"")
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert site.call("", "OPTIONS", "/nothing").status == 404


@pytest.mark.parametrize("path", ["/api/v1/tasks/%ff%fe%fd%fc", "/api/%c3", "/api/v1/tasks/abcd/files/%ff"])
def test_paths_that_are_no_text(site: Site, path: str) -> None:
    """A path whose bytes are not UTF-8 is refused, not read as another path."""
    answer = site.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ") and b'"bad-path"' in answer


def test_errors_of_pages_are_pages(site: Site) -> None:
    """Outside the API the framework's and the handlers' refusals are shown as HTML, with the same status."""

    def asked(method: str, path: str) -> bytes:
        return site.raw(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    for method, path, status in (
        ("GET", "/nothing", b"404"), ("DELETE", "/help", b"405"), ("GET", "/%ff", b"400"),
        ("GET", "/static/none.css", b"404"), ("OPTIONS", "/help", b"204"),
    ):  # fmt: skip
        answer = asked(method, path)
        assert answer.startswith(b"HTTP/1.1 " + status), (path, answer[:200])
        assert (b"<html" in answer) == (status != b"204")
    assert b"Allow: GET, HEAD, OPTIONS" in asked("DELETE", "/help")


def test_answers_carry_the_security_headers(site: Site) -> None:
    """Answers and refusals alike are not to be sniffed, framed or kept by caches."""
    for answer in (site.get("bob", "/me"), site.get("", "/me"), site.get("bob", "/nothing")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_a_body_over_every_limit_is_not_read(site: Site) -> None:
    """A declared length beyond what a task may have is refused before a byte of it is read."""
    head = f"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.keys['bob']}\r\n"
    for kind, length in (("application/zip", 1 << 50), ("application/json", (1 << 20) + 1)):
        answer = site.raw(f"{head}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 413 ") and b'"too-large"' in answer


def test_chunked_bodies_are_bodies(site: Site) -> None:
    """A chunked JSON body is read like a sized one; over the limit it is refused; cut short it is not taken."""
    before = site.head()
    head = (
        f"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.keys['alice']}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    ).encode()
    body = b'{"title": "t", "description": "d"}'
    chunk = b"%x\r\n%s\r\n" % (len(body), body)
    assert b'"truncated-body"' in site.raw(head + chunk)
    large = b"%x\r\n%s\r\n0\r\n\r\n" % (1 << 17, b" " * (1 << 17))
    assert b'"too-large"' in site.raw(head + large)
    assert site.head() == before
    assert site.raw(head + chunk + b"0\r\n\r\n").startswith(b"HTTP/1.1 201 ")
