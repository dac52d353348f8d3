"""What one connection may carry: framing of requests and responses, as raw bytes. Stock Paste fails each of these."""

import http.client
import json
import threading

import pytest

from taskrepo.errors import Invalid, Refused
from taskrepo.web.edge import last_resort
from taskrepo.web.framing import Limits, parse_head
from tests.edge.conftest import QUICK
from tests.support.waiting import PATIENCE


def deny(environ, start_response):
    start_response("403 Forbidden", [("Content-Length", "2")])
    return [b"no"]


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def show(environ, start_response):
    body = json.dumps({k: v for k, v in environ.items() if isinstance(v, str)}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def problem_in(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    assert b"Connection: close" in head and b"X-Content-Type-Options: nosniff" in head
    return json.loads(body)


def test_a_body_nobody_read_is_not_a_request(serving):
    """A request hidden in the body of a denied one gets no answer of its own; the next real request does."""
    hidden = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    request = b"POST /deny HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(hidden), hidden)
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert serving(deny, limits=QUICK).talk(request).count(b"HTTP/1.1 403") == 1
    assert serving(deny).talk(request + last).count(b"HTTP/1.1 403") == 2


def test_a_large_unread_body_closes_the_connection(serving):
    """More unread body than is worth draining ends the connection, said in the answer, which still arrives."""
    size = 1 << 20
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (size, b"G" * size)
    answer = serving(deny).talk(request + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.count(b"HTTP/1.1") == 1 and b"Connection: close" in answer and answer.endswith(b"no")


def test_an_unread_chunked_body_is_drained(serving):
    """What is left of a small chunked body is passed over, and the connection goes on."""
    request = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert serving(deny).talk(request + last).count(b"HTTP/1.1 403") == 2


@pytest.mark.parametrize("rest", [b"zz\r\n", b"a" * 80_000])
def test_an_undrainable_chunked_body_closes(serving, rest):
    """Chunks that are malformed or too many to drain end the connection after its one answer."""
    request = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n"
    assert serving(deny).talk(request[: None if rest[:1] == b"a" else -7] + rest).count(b"HTTP/1.1") == 1


def test_chunked_body_is_decoded_as_a_stream(serving):
    """A chunked body, with extensions and trailers, arrives decoded and without a length or coding in the environ."""
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        seen["first"] = environ["wsgi.input"].read(5)
        release.set()
        return echo(environ, start_response)

    release = threading.Event()
    with serving(app).connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n")
        assert release.wait(PATIENCE)
        sock.sendall(b"6\r\n world\r\n0\r\nX-T: 1\r\n\r\n")
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert (seen["first"], answer.read()) == (b"hello", b" world")
    assert seen["wsgi.input_terminated"] and "CONTENT_LENGTH" not in seen and "HTTP_TRANSFER_ENCODING" not in seen


@pytest.mark.parametrize(
    "body, code",
    [
        (b"zz\r\nab", "malformed-chunk"),
        (b"-1\r\n", "malformed-chunk"),
        (b"3\nabc\r\n0\r\n\r\n", "malformed-chunk"),
        (b"3\r\nabcX\r\n0\r\n\r\n", "malformed-chunk"),
        (b"3;" + b"x" * 400 + b"\r\nabc", "malformed-chunk"),
        (b"0\r\n" + b"a: b\r\n" * 65, "malformed-chunk"),
        (b"0\r\nx: " + b"a" * 9000, "malformed-chunk"),
        (b"5\r\nab", "truncated-body"),
        (b"5\r\nhello\r\n", "truncated-body"),
    ],
)
def test_bad_chunks_are_invalid(serving, body, code):
    """A chunked body that breaks the grammar, or breaks off, is a 400 problem, never a short body."""
    with serving(echo, limits=QUICK).connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert (answer.status, json.loads(answer.read())["code"]) == (400, code)
        assert sock.recv(100) == b""


def test_nothing_behind_a_broken_chunk_is_a_request(serving):
    """After a malformed chunk the connection ends, even if what follows could be read as its end and a request."""
    broken = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n0\r\n\r\n"
    answer = serving(last_resort(echo)).talk(broken + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.count(b"HTTP/1.1 400") == 1 and answer.count(b"Server: ") == 1 and b"Connection: close" in answer


def test_a_client_that_hangs_up_sent_no_short_body(serving):
    """A body cut off by a hang-up is a 400 that says how far it came."""
    with serving(echo).connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        sock.shutdown(1)
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        found = json.loads(answer.read())
    assert found["code"] == "truncated-body" and "after 3 of 10 bytes" in found["detail"]


@pytest.mark.parametrize(
    "head, status, code, named",
    [
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
            400,
            "conflicting-framing",
            "Content-L",
        ),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked", 400, "conflicting-framing", "HTTP/1.0"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3",
            400,
            "duplicate-header",
            "content-length",
        ),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3", 400, "malformed-content-length", "-3"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3", 400, "malformed-content-length", "+3"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3", 400, "malformed-content-length", "3, 3"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:", 400, "malformed-content-length", "''"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked", 501, "unknown-transfer-encoding", "gzip"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked", 400, "malformed-header", "Transfer-Encoding :"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer_Encoding: chunked", 400, "malformed-header", "Transfer_Encoding"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b", 400, "malformed-header", "' b'"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b", 400, "malformed-header", "X: a"),
        (b"GET / HTTP/1.1\nHost: x\n", 400, "malformed-request-line", "GET"),
        (b"GET /", 400, "malformed-request-line", "GET"),
        (b"GET  / HTTP/1.1\r\nHost: x", 400, "malformed-request-line", "GET"),
        (b"GET x HTTP/1.1\r\nHost: x", 400, "malformed-request-line", "'x'"),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x", 400, "malformed-request-line", "x:1"),
        (b"GET / HTTP/2.0\r\nHost: x", 505, "unsupported-version", "2.0"),
        (b"GET / HTTP/1.1", 400, "malformed-host", "''"),
        (b"GET / HTTP/1.1\r\nHost: a b", 400, "malformed-host", "a b"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y", 400, "duplicate-header", "host"),
        (b"GET http://a@b/ HTTP/1.1\r\nHost: x", 400, "malformed-host", "a@b"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: magic", 417, "unknown-expectation", "magic"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x", 414, "request-line-too-long", "8192"),
        (b"GET /" + b"a" * 40000, 414, "request-line-too-long", "8192"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40000, 431, "headers-too-large", "32768"),
        (b"GET / HTTP/1.1\r\nHost: x" + b"\r\nX: a" * 100, 431, "headers-too-large", "100"),
    ],
)
def test_doubtful_heads_are_refused(serving, head, status, code, named):
    """A head in doubt gets one problem answer that names what is wrong, and the connection closes."""
    answer = serving(deny).talk(head + b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.count(b"Server: taskrepo") == 1
    found = problem_in(answer)
    assert (found["status"], found["code"], found["type"]) == (status, code, f"urn:taskrepo:problem:{code}")
    assert named in found["detail"]


def test_continue_is_sent_once_and_only_when_the_body_is_wanted(serving):
    """100 Continue comes on the first read and once; a refusal without reading comes instead of it, and closes."""
    expecting = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    with serving(echo).connect() as sock:
        sock.sendall(expecting)
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        rest = b"".join(iter(lambda: sock.recv(1000), b""))
    assert rest.startswith(b"HTTP/1.1 200 OK") and b"100 Continue" not in rest and rest.endswith(b"abc")
    refused = serving(deny).talk(expecting.replace(b"Connection: close\r\n", b""))
    assert refused.startswith(b"HTTP/1.1 403") and b"Connection: close" in refused


@pytest.mark.parametrize(
    "target, path, query",
    [
        ("/a/../b//c/./", "/a/../b//c/./", ""),
        ("//evil.example/x", "//evil.example/x", ""),
        ("/a%2Fb%2e%2e", "/a/b..", ""),
        ("/caf%C3%A9/%E4%BB%BB?q=%C3%A9?", "/café/任", "q=%C3%A9?"),
        ("/%ff", b"/\xff", ""),
        ("http://other.example/p?q", "/p", "q"),
        ("http://other.example?q", "/", "q"),
    ],
)
def test_paths_arrive_as_sent(serving, target, path, query):
    """PATH_INFO is the decoded path as PEP 3333 Latin-1, not normalised; RAW_URI is the target untouched."""
    request = (
        f"GET {target} HTTP/1.1\r\nHost: x\r\nProxy: evil\r\nCookie: a=1\r\nCookie: b=2\r\nConnection: close\r\n\r\n"
    )
    found = json.loads(serving(show).talk(request.encode()).partition(b"\r\n\r\n")[2])
    expected = path if isinstance(path, bytes) else path.encode()
    assert (found["PATH_INFO"].encode("latin-1"), found["QUERY_STRING"]) == (expected, query)
    assert found["RAW_URI"] == target and found["HTTP_COOKIE"] == "a=1; b=2" and "HTTP_PROXY" not in found
    assert found["HTTP_HOST"] == ("other.example" if "other" in target else "x")


def test_raw_bytes_in_a_path_survive(serving):
    """A client that sends UTF-8 without percent signs is understood."""
    answer = serving(show).talk("GET /é HTTP/1.0\r\n\r\n".encode())
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["PATH_INFO"].encode("latin-1") == "/é".encode()


def test_a_request_that_came_with_the_body_before_it_is_answered(serving):
    """A request that came whole, body and all, in one packet with the one before is not waited for any longer."""
    first = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    second = first.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    got = serving(echo).talk(first + second)
    assert got.count(b"HTTP/1.1 200 ") == 2 and b" 408 " not in got


def test_connections_are_reused_and_pipelines_kept_in_order(serving):
    """One connection carries many requests, also all at once; blank lines between them are passed over."""
    running = serving(echo)
    client = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    used = set()
    for word in (b"one", b"two"):
        client.request("POST", "/", word)
        answer = client.getresponse()
        assert answer.read() == word and answer.getheader("Server") == "taskrepo"
        used.add(client.sock)
    assert len(used) == 1
    client.close()
    one = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d\r\n"
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: x, close\r\n\r\n"
    got = running.talk(b"".join(one % n for n in range(5)) + last)
    assert [part[-1:] for part in got.split(b"HTTP/1.1 200 OK")[1:-1]] == [b"0", b"1", b"2", b"3", b"4"]


def answering(status="200 OK", headers=(), parts=()):
    def app(environ, start_response):
        start_response(status, list(headers))
        return iter(parts)

    return app


def test_an_answer_without_length_is_chunked(serving):
    """To HTTP/1.1 a streamed answer is chunked and the connection stays; empty parts do not end it."""
    running = serving(answering(parts=[b"ab", b"", b"c" * 100_000]))
    client = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    for _ in range(2):
        client.request("GET", "/")
        answer = client.getresponse()
        assert answer.chunked and answer.read() == b"ab" + b"c" * 100_000
    client.close()


def test_an_answer_without_length_to_http_1_0_ends_by_closing(serving):
    """HTTP/1.0 knows no chunks."""
    answer = serving(answering(parts=[b"ab", b"c"])).talk(b"GET / HTTP/1.0\r\n\r\n")
    assert b"Connection: close" in answer and b"chunked" not in answer and answer.endswith(b"\r\n\r\nabc")


def test_a_list_gets_its_length(serving):
    """An answer that is all there is sent with its Content-Length."""

    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"ab", b"c"]

    answer = serving(app).talk(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"Content-Length: 3" in answer and answer.endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize(
    "method, status", [(b"HEAD", "200 OK"), (b"GET", "204 No Content"), (b"GET", "304 Not Modified")]
)
def test_answers_without_a_body_have_none(serving, method, status):
    """HEAD, 204 and 304 are followed by nothing but the next answer, whatever the application gives."""
    running = serving(answering(status, [("X-A", "b")], [b"body"]))
    request = method + b" / HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = running.talk(request + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    first, second, rest = answer.split(b"\r\n\r\n")
    assert rest == b"" and second.startswith(b"HTTP/1.1 ") and b"chunked" not in first


def test_head_keeps_the_length_and_204_loses_it(serving):
    """HEAD says the length GET would have; a 204 may not name one."""
    head = b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert b"Content-Length: 2" in serving(deny).talk(head)
    app = answering("204 No Content", [("Content-Length", "0"), ("Server", "own"), ("Connection", "close")])
    answer = serving(app).talk(head.replace(b"HEAD", b"GET"))
    assert b"Content-Length" not in answer and answer.count(b"Server: ") == 1


@pytest.mark.parametrize(
    "app",
    [
        answering("200 OK", [("X", "a\r\nSet-Cookie: x=1")]),
        answering("200 OK", [("Content-Length", "1"), ("Content-Length", "2")]),
        answering("200 OK", [("Content-Length", "1")], [b"ab"]),
        answering("100 Continue"),
        answering("200"),
        lambda environ, start_response: [b"x"],
        lambda environ, start_response: [start_response("200 OK", []), start_response("200 OK", [])],
    ],
)
def test_a_head_that_cannot_be_sent_is_a_500(serving, app):
    """A response that would break its own framing becomes a 500 problem before any of it is sent."""
    answer = serving(app).talk(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500 ") and b"Set-Cookie" not in answer
    assert problem_in(answer)["code"] == "internal"


def test_an_exception_without_any_middleware_is_a_problem(serving):
    """The server itself answers for an application that lets a refusal out."""

    def app(environ, start_response):
        raise Refused("not-found")

    assert problem_in(serving(app).talk(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))["status"] == 404


@pytest.mark.parametrize("headers, parts", [([("Content-Length", "9")], [b"ab"]), ([], [b"ab", None, 3])])
def test_an_answer_that_breaks_off_looks_broken(serving, headers, parts):
    """When the application fails or falls short in mid-answer, the connection is reset instead of ended."""
    with serving(answering("200 OK", headers, parts)).connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            answer = http.client.HTTPResponse(sock)
            answer.begin()
            answer.read()


def test_start_response_can_be_replaced_until_it_is_sent(serving):
    """exc_info replaces an unsent head and raises once it went out; write() sends at once."""

    def app(environ, start_response):
        start_response("200 OK", [])
        error = ValueError("late")
        write = start_response("500 Oops", [], (ValueError, error, None))
        write(b"a")
        with pytest.raises(ValueError, match="late"):
            start_response("200 OK", [], (ValueError, error, None))
        return [b"b"]

    answer = serving(app).talk(b"GET / HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500 Oops") and answer.endswith(b"ab")


def test_result_is_closed(serving):
    """The application's iterable is closed after its answer."""
    closed = threading.Event()

    class Result:
        def __iter__(self):
            return iter([b"x"])

        def close(self):
            closed.set()

    def app(environ, start_response):
        start_response("200 OK", [])
        return Result()

    serving(app).talk(b"GET / HTTP/1.0\r\n\r\n")
    assert closed.wait(PATIENCE)


def test_any_bytes_are_a_head_or_invalid():
    """Parsing random bytes ends in a head or in Invalid, never in another exception."""
    from hypothesis import given
    from hypothesis import strategies as st

    part = st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [
                b"GET",
                b" ",
                b"/",
                b"HTTP/1.1",
                b"\r\n",
                b"Host: x",
                b"Content-Length: 1",
                b":",
                b"http://",
                b"[",
                b"chunked",
            ]
        ),
    )

    @given(st.lists(part, max_size=12).map(b"".join))
    def check(raw):
        try:
            parse_head(raw, Limits())
        except Invalid as error:
            assert error.code and error.where

    check()
