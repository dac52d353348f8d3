"""What leaves the exchange when somebody fetches an uploaded file."""

import email.message
import io
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrepo.errors import Refused
from taskrepo.guard import safe_name
from taskrepo.web import download

DATA = bytes(range(256)) * 1000
ETAG = "4f2c"


class Source:
    """Counts what is opened and remembers it."""

    def __init__(self, data: bytes = DATA, seekable: bool = True) -> None:
        self.data, self.can_seek = data, seekable
        self.opened: list[io.BytesIO] = []

    def __call__(self) -> io.BytesIO:
        can_seek = self.can_seek

        class Stream(io.BytesIO):
            def seekable(self) -> bool:
                return can_seek

        self.opened.append(Stream(self.data))
        return self.opened[-1]

    @property
    def closed(self) -> bool:
        return all(stream.closed for stream in self.opened)


def send(source: Source, method: str = "GET", **fields: str) -> tuple[str, dict[str, str], Iterator[bytes]]:
    options: dict[str, Any] = {"name": "a.csv", "media_type": "text/csv", "size": len(source.data), "etag": ETAG}
    options |= {key: fields.pop(key) for key in list(fields) if key in ("name", "media_type", "inline", "etag")}
    environ = {"REQUEST_METHOD": method, **{f"HTTP_{key}": value for key, value in fields.items()}}
    status, headers, body = download.send(environ, open=source, **options)
    assert len({name for name, _ in headers}) == len(headers)
    for name, value in headers:
        assert re.fullmatch(r"[A-Za-z-]+", name)
        assert re.fullmatch(r"[ -~]+", value)
    return status, dict(headers), body


def test_whole() -> None:
    """The whole file comes in chunks, as an attachment that no browser sniffs, runs or caches for others."""
    source = Source()
    status, headers, body = send(source)
    chunks = list(body)
    assert b"".join(chunks) == DATA
    assert max(map(len, chunks)) == 1 << 16
    assert source.closed
    assert status == "200 OK"
    assert headers == {
        "ETag": '"4f2c"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=0, must-revalidate",
        "Content-Disposition": 'attachment; filename="a.csv"',
        "Content-Length": str(len(DATA)),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Content-Type": "text/csv; charset=utf-8",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }


def test_head() -> None:
    """HEAD has the headers of GET, without opening the file; Range means nothing to it."""
    source = Source()
    assert send(source, "HEAD", RANGE="bytes=0-1")[:2] == send(Source())[:2]
    assert list(send(source, "HEAD")[2]) == []
    assert source.opened == []


def test_empty() -> None:
    """An empty file is sent as such, and no part of it can be asked for."""
    source = Source(b"")
    status, headers, body = send(source)
    assert (status, headers["Content-Length"], list(body), source.opened) == ("200 OK", "0", [], [])
    assert send(source, RANGE="bytes=0-")[0].startswith("416")
    assert send(source, RANGE="bytes=-5")[0].startswith("416")


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize(
    ("field", "start", "end"),
    [
        ("bytes=0-0", 0, 1), ("bytes=5-9", 5, 10), ("bytes=100000-", 100000, 256000), ("BYTES=-7", 255993, 256000),
        ("bytes=-999999", 0, 256000), ("bytes=255999-999999999999999999", 255999, 256000), ("bytes= 1-2 ", 1, 3),
    ],
)
def test_range(field: str, start: int, end: int, seekable: bool) -> None:
    """One satisfiable range gets exactly its bytes, from streams that can seek and those that cannot."""
    source = Source(seekable=seekable)
    status, headers, body = send(source, RANGE=field)
    assert status == "206 Partial Content"
    assert headers["Content-Range"] == f"bytes {start}-{end - 1}/256000"
    assert headers["Content-Length"] == str(end - start)
    assert b"".join(body) == DATA[start:end]
    assert source.closed


@pytest.mark.parametrize(
    "field",
    ["bytes=0-1,5-6", "bytes=5-4", "bytes=-", "bytes=a-b", "items=0-1", "bytes 0-1", "bytes=1", "", "bytes=--1",
     "bytes=" + "9" * 30 + "-", "bytes=١-٢"],
)
def test_ignored_range(field: str) -> None:
    """Several ranges, or what is no range, get the whole file."""
    status, headers, body = send(Source(), RANGE=field)
    assert (status, "Content-Range" in headers, len(b"".join(body))) == ("200 OK", False, len(DATA))


@pytest.mark.parametrize("field", ["bytes=256000-", "bytes=256000-256001", "bytes=-0"])
def test_unsatisfiable_range(field: str) -> None:
    """A range with no byte in the file is refused with the file's length, without opening it."""
    source = Source()
    status, headers, body = send(source, RANGE=field)
    assert status == "416 Range Not Satisfiable"
    assert headers["Content-Range"] == "bytes */256000"
    assert (list(body), source.opened) == ([], [])


@pytest.mark.parametrize(
    ("field", "status"),
    [('"4f2c"', "206"), ('"other"', "200"), ('W/"4f2c"', "200"), ("Sat, 21 Nov 2026 02:06:00 GMT", "200")],
)
def test_if_range(field: str, status: str) -> None:
    """A range of another version, or of an uncertain one, gets the whole file."""
    assert send(Source(), RANGE="bytes=0-1", IF_RANGE=field)[0].startswith(status)


@pytest.mark.parametrize(
    ("field", "status"),
    [('"4f2c"', "304"), ('W/"4f2c"', "304"), ('"a", "4f2c"', "304"), ("*", "304"), ('"4f2"', "200"), ("4f2c", "200")],
)
def test_if_none_match(field: str, status: str) -> None:
    """Who has this version already gets no body."""
    source = Source()
    answer, headers, body = send(source, IF_NONE_MATCH=field, RANGE="bytes=0-1" if status == "304" else "")
    assert answer.startswith(status)
    assert headers["ETag"] == '"4f2c"'
    if status == "304":
        assert (list(body), source.opened) == ([], [])


def test_if_match() -> None:
    """Who asks for another version than there is is refused."""
    for good in ("*", '"4f2c"', '"x", "4f2c"'):
        assert send(Source(), IF_MATCH=good)[0] == "200 OK"
    for bad in ('"x"', 'W/"4f2c"', ""):
        with pytest.raises(Refused, match="precondition-failed"):
            send(Source(), IF_MATCH=bad)


@pytest.mark.parametrize(
    ("media_type", "sent", "inline"),
    [
        ("image/png", "image/png", True),
        ("text/plain", "text/plain; charset=utf-8", True),
        ("application/pdf", "application/pdf", False),
        ("text/html", "application/octet-stream", False),
        ("image/svg+xml", "application/octet-stream", False),
        ("application/xml", "application/octet-stream", False),
        ("text/javascript", "application/octet-stream", False),
        ("text/plain\r\nX: y", "application/octet-stream", False),
        ("", "application/octet-stream", False),
    ],
)
def test_media_types(media_type: str, sent: str, inline: bool) -> None:
    """Types a browser might run go out as bytes to save; only pictures and plain text show inline, if asked."""
    for asked in (False, True):
        headers = send(Source(), media_type=media_type, inline=asked)[1]  # type: ignore[arg-type]
        assert headers["Content-Type"] == sent
        assert headers["Content-Disposition"].partition(";")[0] == ("inline" if inline and asked else "attachment")


def test_close() -> None:
    """A client that goes away, and a server that never starts, leave no file open."""
    for reads in (0, 1):
        source = Source()
        body = send(source)[2]
        for _ in range(reads):
            next(body)
        body.close()  # type: ignore[attr-defined]
        body.close()  # type: ignore[attr-defined]
        assert source.closed and len(source.opened) == 1
        assert list(body) == []


def test_short_file() -> None:
    """A file shorter than announced breaks the connection instead of ending early, and is closed."""
    source = Source()
    _, _, body = download.send(
        {"REQUEST_METHOD": "GET"}, name="a", media_type="", size=len(DATA) + 1, etag=ETAG, open=source
    )
    with pytest.raises(OSError, match="1 bytes early"):
        list(body)
    assert source.closed


def test_failing_open() -> None:
    """What opening raises comes before any status, and a file that cannot be positioned is closed."""

    def missing() -> io.BytesIO:
        raise Refused("unknown-file")

    fields = {"REQUEST_METHOD": "GET", "HTTP_RANGE": "bytes=5-"}
    with pytest.raises(Refused, match="unknown-file"):
        download.send(fields, name="a", media_type="", size=9, etag=ETAG, open=missing)

    class Unseekable(io.BytesIO):
        def seek(self, *_: int) -> int:
            raise OSError("cannot")

    stream = Unseekable(b"123456789")
    with pytest.raises(OSError, match="cannot"):
        download.send(fields, name="a", media_type="", size=9, etag=ETAG, open=lambda: stream)
    assert stream.closed


def test_bad_etag() -> None:
    """An entity tag that would break its header is a bug in the caller."""
    for bad in ('a"b', "a b", "", "a\n"):
        with pytest.raises(ValueError, match="entity tag"):
            send(Source(), etag=bad)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", 'attachment; filename="a.csv"'),
        ("ä b.csv", "attachment; filename=\"a b.csv\"; filename*=UTF-8''%C3%A4%20b.csv"),
        ("数.csv", "attachment; filename=\"_.csv\"; filename*=UTF-8''%E6%95%B0.csv"),
        ('a"b%41.csv', "attachment; filename=\"a_b_41.csv\"; filename*=UTF-8''a%22b%2541.csv"),
        ("../../x/y.sh", 'attachment; filename="y.sh"'),
        ("a\r\nSet-Cookie: b", "attachment; filename=\"aSet-Cookie_ b\"; filename*=UTF-8''aSet-Cookie%3A%20b"),
    ],
)
def test_disposition(name: str, expected: str) -> None:
    """A name comes with an ASCII fallback, and exactly when that is not the name itself."""
    assert download.disposition(name) == expected


@given(st.text(max_size=300))
def test_disposition_always(name: str) -> None:
    """Any name makes one header line that a standard parser reads back as the cleaned name."""
    value = download.disposition(name)
    plain = r"""attachment; filename="[A-Za-z0-9 !#$&'()+,.;=@^_`{}~\[\]-]*["]"""
    assert re.fullmatch(plain + r"(; filename\*=UTF-8''[A-Za-z0-9!#$&+.^_`|~%-]+)?", value)
    if found := re.search(r"filename\*=UTF-8''(.+)$", value):
        assert unquote(found[1], errors="strict") == safe_name(name)
    message = email.message.Message()
    message["Content-Disposition"] = value.split("; filename*")[0]
    assert message.get_content_disposition() == "attachment"
    assert message.get_filename() is not None
