"""Compression: what this program wrote is sent in gzip to who takes it; what people uploaded never is."""

import gzip
import zlib
from collections.abc import Iterator

import pytest
import urllib3

from taskrepo.web.compression import accepts_gzip, compressed
from tests.support.http import Site, running
from tests.support.person import Person


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange with a task, served."""
    with running(tmp_path_factory.mktemp("gzip")) as running_site:
        for n in range(30):
            running_site.task(title=f"Task {n}", description="words " * 20)
        yield running_site


def raw(site: Site, path: str, coding: str = "gzip", method: str = "GET", **headers: str) -> urllib3.BaseHTTPResponse:
    """The answer as it came over the wire."""
    who = Person(site.url).enter(site.exchange, "alice")
    sent = {"Cookie": f"session={who.cookies['session']}", **headers}
    sent |= {"Accept-Encoding": coding} if coding else {}
    return urllib3.request(method, site.url + path, headers=sent, decode_content=False, redirect=False)


@pytest.mark.parametrize(("said", "taken"), [
    ("gzip", True), ("br, GZIP", True), ("gzip;q=0.5", True), ("gzip; q=1", True), ("", False), ("br", False),
    ("gzip;q=0", False), ("gzip;q=0.000", False), ("identity", False), ("x-gzip-not", False), ("*", False),
])  # fmt: skip
def test_who_takes_gzip(said: str, taken: bool) -> None:
    """Only who names gzip, with a weight above zero, gets it."""
    assert accepts_gzip({"HTTP_ACCEPT_ENCODING": said} if said else {}) is taken


@pytest.mark.parametrize("path", ["/tasks", "/api/v1/openapi.json"])
def test_pages_and_lists_are_smaller(site: Site, path: str) -> None:
    """A page arrives in gzip with its true length, and is the same page."""
    packed, plain = raw(site, path), raw(site, path, "")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data) / 2
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.data)[:200] == plain.data[:200]


@pytest.mark.parametrize(("began", "packed"), [
    ("same-origin", True), ("none", True), ("same-site", False), ("cross-site", False),
])  # fmt: skip
def test_what_another_site_asked_is_not_packed(site: Site, began: str, packed: bool) -> None:
    """A page that another site led to has its plain length, which does not tell what of the address is also in it."""
    answer = raw(site, "/tasks?q=Task", **{"Sec-Fetch-Site": began})
    assert answer.status == 200
    assert ("Content-Encoding" in answer.headers) is packed


def test_small_answers_and_heads_stay(site: Site) -> None:
    """What is short is not worth it, and a HEAD has no body to compress."""
    short = raw(site, f"/live?after={site.head()}")
    assert short.status == 200
    assert "Content-Encoding" not in short.headers
    head = raw(site, "/tasks", method="HEAD")
    assert (head.status, head.data) == (200, b"")
    assert "Content-Encoding" not in head.headers


def test_uploads_are_sent_as_they_are(site: Site) -> None:
    """A file's bytes, length and ranges are those of the file, whatever the client takes."""
    content = b"<html>" + b"a,b\n" * 5000
    task = site.call("alice", "POST", "/tasks", fields=[
        ("manifest", '{"title": "t", "description": "d"}'), ("input/page.html", ("page.html", content)),
    ]).json["task"]["id"]  # fmt: skip
    whole = raw(site, f"/tasks/{task}/files/input/page.html")
    assert (whole.data, whole.headers.get("Content-Encoding")) == (content, None)
    part = raw(site, f"/tasks/{task}/files/input/page.html", Range="bytes=6-9")
    assert (part.status, part.data) == (206, b"a,b\n")


def test_assets_are_packed_once(site: Site) -> None:
    """The style sheet comes in gzip under a tag of its own, for a year, and is not sent again."""
    packed, plain = raw(site, "/static/style.css"), raw(site, "/static/style.css", "")
    assert gzip.decompress(packed.data) == plain.data
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert packed.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    again = raw(site, "/static/style.css", **{"If-None-Match": packed.headers["ETag"]})
    assert (again.status, again.data) == (304, b"")


def test_a_token_is_never_sent_twice_alike(site: Site) -> None:
    """Two answers to one session carry different tokens, both of which are good."""
    who = Person(site.url).enter(site.exchange, "alice")
    pages = [who.get("/me") for _ in range(2)]
    tokens = [page.form("/logout").fields["csrf"] for page in pages]
    assert tokens[0] != tokens[1]
    assert len({len(zlib.compress(token.encode())) > 60 for token in tokens}) == 1
    for page in pages:
        assert who.submit(page, "/me/keys", {"name": "x"}).status == 200


def test_a_compressed_answer_is_not_written_by_hand() -> None:
    """An application that uses WSGI's `write` for a page is told so, not answered wrongly."""
    def old(environ: object, start_response: object) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html")])(b"x")  # type: ignore[operator]
        return []

    with pytest.raises(RuntimeError, match="piece by piece"):
        list(compressed(old)({"HTTP_ACCEPT_ENCODING": "gzip"}, lambda *_: lambda data: None))  # type: ignore[arg-type]
