"""What comes over HTTP: heads, bodies and their framing, forms, and the values of header fields."""

import gzip
import io
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from bottle import LocalRequest

from taskrepo import answers, guard
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.history import check_request_id
from taskrepo.hooks import __main__ as hooks
from taskrepo.web import (
    api_request,
    api_uploads,
    basic_auth,
    compression,
    download,
    eventstream,
    framing,
    githttp,
    gitprocess,
    intake,
    lfs_format,
    visit,
)
from tests.fuzz.harness import Harness, field, parts, text
from tests.fuzz.of_archives import POLICY, Staging

LIMITS: Final = framing.Limits()
SIZE: Final = 1000
CONTENT: Final = bytes(range(250)) * 4
VIEW: Final = SimpleNamespace(last=lambda task: "a1" * 20)
BOUNDARY: Final = b"XYZ"
HEADS: Final = (
    b"GET /api/v1/tasks?q=a%20b HTTP/1.1\r\nHost: example.org:8753\r\nAccept: */*\r\n\r\n",
    b"POST /api/v1/tasks HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n",
    b"PUT /api/v1/uploads/" + b"a" * 64 + b" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"GET http://a/b HTTP/1.0\r\n\r\n",
)  # fmt: skip
FORM: Final = b"\r\n".join((
    b"--XYZ", b'Content-Disposition: form-data; name="manifest"', b"", b"title: Count\ndescription: d",
    b"--XYZ", b'Content-Disposition: form-data; name="input/a.csv"; filename="a.csv"', b"Content-Type: text/csv", b"",
    b"a,b",
    b"--XYZ", b"Content-Disposition: form-data; name=\"files\"; filename*=UTF-8''%e2%82%ac.txt", b"", b"x", b"--XYZ--",
    b"",
))  # fmt: skip


def head(data: bytes) -> None:
    """The head of a request: what is taken has one meaning for every reader."""
    read = framing.parse_head(data, LIMITS)
    assert read.length is None or read.length >= 0
    assert not (read.length is not None and read.values("transfer-encoding"))
    for name, value in read.fields:
        assert name.isascii() and "_" not in name and not set(value) & set("\r\n\0")


def chunked(data: bytes) -> None:
    """A chunked body, read in pieces of any size."""
    size = 1 + data[0] if data else 1
    body = io.BufferedReader(framing.ChunkedBody(_Source(data[1:])))
    read = 0
    while got := body.read(size):
        read += len(got)
    assert read < len(data)


class _Source(io.BufferedReader):
    """A connection on which all has come."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))  # type: ignore[arg-type]


def sized(data: bytes) -> None:
    """A body of a length that is said in a header field."""
    said, body = parts(data, 2)
    environ: Any = {"CONTENT_LENGTH": field(said), "wsgi.input": io.BytesIO(body)}
    assert intake.body(environ, SIZE).read() == body[: int(field(said) or "0")]


def form(data: bytes) -> None:
    """A multipart form: what it staged is held once each, and released if the form is refused."""
    said, body = parts(data, 2)
    staging, held = Staging(Path()), 0
    environ: Any = {
        "CONTENT_TYPE": field(said) if body else "multipart/form-data; boundary=XYZ",
        "CONTENT_LENGTH": str(len(body or data)), "wsgi.input": io.BytesIO(body or data),
    }  # fmt: skip
    try:
        made = intake.multipart(
            environ, staging, kind="task_attachment", limits=POLICY, place=guard.PACKAGE.place  # type: ignore[arg-type]
        )
        held = len(made.sha256s)
        assert guard.check_paths([file.path for _, file in made.files], "file") is not None
    finally:
        assert staging.holds == held


def conditions(data: bytes) -> None:
    """If-Match, If-None-Match, If-Range, Range and Idempotency-Key, each as any text."""
    said = field(data)
    for name in ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IDEMPOTENCY_KEY", "HTTP_RANGE", "HTTP_IF_RANGE"):
        environ: Any = {"REQUEST_METHOD": "GET", "HTTP_RANGE": "bytes=1-5", name: said}
        request = SimpleNamespace(environ=environ)
        with suppress(Invalid):
            api_request.if_match(request, VIEW, "4k7q2m9x")  # type: ignore[arg-type]
        with suppress(Invalid):
            check_request_id(api_request.request_id(request) or "")
        with suppress(Refused):
            _sent(environ)
        api_request.is_current(request, "a1" * 20)


def _sent(environ: Any) -> None:
    status, headers, body = download.send(
        environ, name="a.csv", media_type="text/csv", size=SIZE, etag="a1" * 20, open=lambda: io.BytesIO(CONTENT)
    )
    told = dict(headers)
    sent = b"".join(body)
    if status.startswith("206"):
        first, last = map(int, told["Content-Range"].removeprefix("bytes ").partition("/")[0].split("-"))
        assert sent == CONTENT[first : last + 1]
    assert "Content-Length" not in told or len(sent) == int(told["Content-Length"])


def pieces(data: bytes) -> None:
    """The piece that an upload says it is."""
    said, length = map(field, parts(data, 2))
    piece = api_uploads.piece_of({"HTTP_CONTENT_RANGE": said, "CONTENT_LENGTH": length})
    assert piece.start is None or (piece.total is not None and piece.start < piece.total)


def fields(data: bytes) -> None:
    """Accept, Accept-Encoding, Authorization, Cookie, Origin, Content-Type, Git-Protocol, the query: each any text."""
    said = field(data)
    names = ("ACCEPT", "ACCEPT_ENCODING", "AUTHORIZATION", "COOKIE", "ORIGIN", "SEC_FETCH_SITE", "X_FORWARDED_PROTO")
    environ: Any = {f"HTTP_{name}": said for name in names} | {"CONTENT_TYPE": said, "QUERY_STRING": said}
    request: Any = SimpleNamespace(environ=environ)
    bottled = LocalRequest(environ)
    assert compression.accepts_gzip(environ) in (True, False)
    assert eventstream.asked_for(request) in (True, False)
    basic_auth.basic_password(said)
    visit.cookie(bottled, "s")
    visit.theme(bottled)
    visit.is_secure(bottled)
    assert visit.local_path(said).startswith("/")
    assert "\n" not in api_request.content_type(environ)
    for read in (lambda: lfs_format.check_accept(environ), lambda: githttp.version(said),
        lambda: visit.check_origin(bottled),
                 lambda: api_request.secret_of(request), lambda: api_request._query(request, ("q", "state"))):
        with suppress(Invalid, Refused):
            read()


def disposition(data: bytes) -> None:
    """The name that a file is sent under: a header field of printable ASCII."""
    for inline in (False, True):
        made = download.disposition(text(data), inline)
        assert made.isascii() and made.isprintable()


def inflated(data: bytes) -> None:
    """A body in gzip, as it is, and as what a well-formed gzip holds."""
    for body in (data, gzip.compress(data, 1)):
        with suppress(Invalid):
            whole = b"".join(githttp.inflated(iter([body[:100], body[100:]]), 1 << 20))
            assert len(whole) <= 1 << 20
    gitprocess.tells_failure(data)


def packets(data: bytes) -> None:
    """What git tells a hook, in packets of its own; git is the only one who talks there."""
    for line in hooks._packets(io.BytesIO(data)):
        assert hooks._packet(line)


def answered(data: bytes) -> None:
    """What a server answers a client, whoever that server is."""
    status, body = parts(data, 2)
    response: Any = io.BytesIO(body)
    response = SimpleNamespace(
        read=response.read, status=int(status) if status.isdigit() and len(status) < 4 else 200,
        headers={"Retry-After": field(data)}, release_conn=lambda: None,
    )  # fmt: skip
    answers.read_json(response)


# ── seeds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _forms() -> Iterator[bytes]:
    yield FORM
    yield b"multipart/form-data; boundary=XYZ\0|\0" + FORM
    yield b'multipart/form-data; boundary="a b"\0|\0' + FORM.replace(b"XYZ", b"a b")


def _fields(*said: str) -> Callable[[], tuple[bytes, ...]]:
    return lambda: tuple(each.encode("latin-1") for each in said)


_HTTP: Final = (b"\r\n", b"\n", b": ", b" HTTP/1.1", b"Host: ", b"Content-Length: ", b"Transfer-Encoding: chunked",
    b"\t", b"\0",
                b"gzip, chunked", b"+1", b"0x10", b"\xff", b"%2e%2e", b"http://", b"X_Y: ", b"\r\n ", b"@", b"[::1]",
                b"18446744073709551616")
_FORM: Final = (b"--XYZ", b"--XYZ--", b"\r\n", b'; name="', b'; filename="', b"filename*=UTF-8''", b'"',
    b"Content-Type: ", b"\n",
                b"Content-Transfer-Encoding: base64", b"\\", b"../", b"input/", b"boundary=", b"\0|\0",
                b"charset=utf-7", b"\r")

HARNESSES: Final = (
    Harness("head", head, lambda: HEADS, _HTTP),
    Harness("chunked", chunked, lambda: (b"\x07" + b"5\r\nhello\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n",
        b"\xff0\r\n\r\n"),
            (b"\r\n", b"0\r\n\r\n", b"ffffffff", b";a=b", b"\n", b"1", b"-1", b"0x1", b"A")),
    Harness("sized", sized, lambda: (b"5\0|\0hello", b"0\0|\0", b"3\0|\0ab"),
        (b"\0|\0", b"-", b"+", b"_", b"\xb2", b"1"),
            (Invalid, Refused)),
    Harness("form", form, _forms, _FORM, (Invalid, Refused)),
    Harness("conditions", conditions, _fields('"a1", W/"b2"', "*", "bytes=0-499", "bytes=-5", "bytes=5-",
        '"key \\"1\\""', "key-1",
            "bytes=0-1,5-6", f'"{"a1" * 20}"'), (b'"', b"W/", b",", b"-", b"bytes=", b"*", b"\\",
            b"999999999999999999", b" ")),
    Harness("pieces", pieces, lambda: (b"bytes 0-4/10\0|\x005", b"bytes 1048576-2097151/2097152\0|\0"),
            (b"bytes ", b"-", b"/", b"*", b"\0|\0", b"999999999999999999", b"\xb2", b" ")),
    Harness("fields", fields, _fields("application/vnd.git-lfs+json; q=0.5, */*", "gzip;q=0.1, br", "Basic YTpi",
        "Bearer tr_a_b",
            "s=1; theme=dark; __Host-s=2", "https://example.org:443", "version=2:a=b", "q=a%20b&state=draft&state=a"),
            (b";", b",", b"q=0", b"gzip", b"Basic ", b"=", b":", b"%", b"%ff", b"&", b"http://[", b"]", b"//", b"\\",
                b"s=")),
    Harness("disposition", disposition, lambda: ("naïve €.txt".encode(), b'a"b\\c;d.csv', b"../a\r\nX: y",
        "\u202egpj.exe".encode()),
            (b'"', b"\\", b";", b"%", b"\r\n", b"\xe2\x80\xae", b"/", b"'")),
    Harness("inflated", inflated, lambda: (gzip.compress(b"0032want " + b"a" * 40), b"0000",
        gzip.compress(bytes(5000))[:30],
            b"0021\x01unpack error"), (b"\x1f\x8b\x08", b"0000", b"\x03\0", b"ERR "), (Invalid, Refused)),
    Harness("packets", packets, lambda: (b"000eversion=1\n0000", b"00040005a0000"),
        (b"0000", b"0001", b"ffff", b"0004", b"\n"),
            (ValueError,)),
    Harness("answered", answered, lambda: (b'200\0|\0{"task": {}}',
        b"409\0|\0" + json.dumps({"code": "busy", "detail": "d",
            "where": "a"}).encode(), b"502\0|\0<html>"),
            (b"\0|\0", b'"code"', b'"detail"', b"[", b"{", b"null", b"503"),
            (TaskrepoError,)),
)  # fmt: skip
