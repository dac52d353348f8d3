"""Problems, security headers, body limits and the last resort, as WSGI, without a socket."""

import io
import json
import logging

import pytest

from taskrepo.errors import REFUSALS, Invalid, Refused
from taskrepo.web.edge import (
    STATUS,
    BrokenAnswer,
    answer_to,
    hardened,
    last_resort,
    limit_body,
    problem,
    secure_headers,
    status_of,
)


def call(app, **environ):
    """The status code, headers and body `app` answers."""
    seen = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/x",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        **environ,
    }
    result = app(environ, lambda status, headers, exc_info=None: seen.append((status, dict(headers))))
    body = b"".join(result)
    return int(seen[-1][0][:3]), seen[-1][1], body


def reading(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [body]


def raising(error):
    def app(environ, start_response):
        raise error

    return app


def test_every_refusal_has_a_status():
    """The table covers exactly the codes of taskrepo.errors."""
    assert set(STATUS) == set(REFUSALS)
    assert all(400 <= status < 600 for status in STATUS.values())


def test_a_problem_is_rfc_9457():
    """The members are the standard ones, then extras, which cannot replace them."""
    status, headers, body = problem(
        405, "method-not-allowed", "no PUT here", allow=["GET", "HEAD"], type="x", status="y"
    )
    assert status == "405 Method Not Allowed"
    assert dict(headers) == {
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Allow": "GET, HEAD",
    }
    assert json.loads(body) == {
        "type": "urn:taskrepo:problem:method-not-allowed",
        "title": REFUSALS["method-not-allowed"],
        "status": 405,
        "detail": "no PUT here",
        "code": "method-not-allowed",
        "allow": ["GET", "HEAD"],
    }
    assert json.loads(problem(400, "bad-thing", "")[2])["title"] == "bad thing"


def test_a_problem_carries_what_its_status_asks():
    """401 names its challenge, retry_after becomes Retry-After."""
    assert ("WWW-Authenticate", 'Bearer realm="taskrepo"') in problem(401, "unauthenticated", "")[1]
    assert ("Retry-After", "3") in problem(503, "busy", "", retry_after=3)[1]


def test_statuses_of_errors():
    """Refusals use the table, Invalid is 400 but for what RFC 9110 names, a code nobody mapped is a conflict."""
    unknown = Refused("busy")
    unknown.code = "brand-new"
    assert [
        status_of(error)
        for error in (
            Refused("busy"),
            unknown,
            Invalid("bad-yaml", "x", "y"),
            Invalid("headers-too-large", "x", "y"),
        )
    ] == [503, 409, 400, 431]


def test_details_reach_the_client():
    """A refusal's details and an Invalid's place are members of the problem."""
    refused = json.loads(answer_to(Refused("already-claimed", "bob holds it", holder="bob", status="claimed"))[2])
    assert (refused["holder"], refused["status"], refused["detail"]) == ("bob", 409, "bob holds it")
    assert json.loads(answer_to(Invalid("bad-yaml", "manifest.title", "too long"))[2])["where"] == "manifest.title"


def test_security_headers_on_every_answer():
    """All are there on an empty answer; what the application chose stands, but for nosniff; HSTS only over https."""
    plain = dict(hardened([], "http"))
    assert plain["X-Content-Type-Options"] == "nosniff" and plain["Cache-Control"] == "no-store"
    assert {
        "Content-Security-Policy",
        "Referrer-Policy",
        "Cross-Origin-Opener-Policy",
        "Cross-Origin-Resource-Policy",
        "Permissions-Policy",
    } < set(plain)
    assert "Strict-Transport-Security" not in plain
    own = hardened(
        [("content-security-policy", "sandbox"), ("X-content-type-options", "no"), ("cache-control", "private")],
        "https",
    )
    names = [name.lower() for name, _ in own]
    assert len(names) == len(set(names)) and ("content-security-policy", "sandbox") in own
    assert ("X-Content-Type-Options", "nosniff") in own and "strict-transport-security" in names
    assert names == [name.lower() for name, _ in hardened(own, "https")] or len(own) == len(hardened(own, "https"))


def test_secure_headers_reach_errors_too():
    """A 500 from the last resort has them as any answer has."""
    status, headers, _ = call(secure_headers(last_resort(raising(KeyError("secret")))))
    assert status == 500 and headers["X-Content-Type-Options"] == "nosniff"


def test_a_long_body_is_refused_before_it_is_read():
    """413 names the limit and the size; the application is not called."""
    status, _, body = call(limit_body(raising(AssertionError), lambda environ: 10), CONTENT_LENGTH="11")
    found = json.loads(body)
    assert (status, found["limit"], found["size"], found["code"]) == (413, 10, 11, "too-large")
    assert "10" in found["detail"] and "11" in found["detail"]


def test_a_body_within_the_limit_is_read_and_no_further():
    """The input ends where Content-Length says, without one it is empty."""
    app = limit_body(reading, lambda environ: 5)
    assert call(app, CONTENT_LENGTH="5", **{"wsgi.input": io.BytesIO(b"helloGET /")})[2] == b"hello"
    assert call(app, CONTENT_LENGTH="", **{"wsgi.input": io.BytesIO(b"hello")})[2] == b""


def test_garbage_lengths_are_invalid():
    """A server that let a bad Content-Length through does not get it past the edge."""
    status, _, body = call(last_resort(limit_body(reading, lambda environ: 5)), CONTENT_LENGTH="-1")
    assert (status, json.loads(body)["code"]) == (400, "malformed-content-length")


def test_a_truncated_body_is_invalid():
    """An input that ends before its length raises, and never looks like a short body."""
    app = limit_body(reading, lambda environ: 50)
    with pytest.raises(Invalid) as caught:
        call(app, CONTENT_LENGTH="10", **{"wsgi.input": io.BytesIO(b"hello")})
    assert (caught.value.code, caught.value.where) == ("truncated-body", "body")


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": io.BytesIO(b"5\r\nhello\r\n0\r\n\r\n")},
        {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "wsgi.input": io.BytesIO(b"hello")},
        {"wsgi.input_terminated": True, "wsgi.input": io.BytesIO(b"hello")},
    ],
)
def test_chunked_bodies_are_capped_under_any_server(environ):
    """Whether or not the server decodes chunks, the application reads them decoded, up to the limit."""
    start = environ["wsgi.input"].tell()
    assert call(limit_body(reading, lambda environ: 5), **environ)[2] == b"hello"
    environ["wsgi.input"].seek(start)
    with pytest.raises(Refused) as caught:
        call(limit_body(reading, lambda environ: 4), **environ)
    assert caught.value.code == "too-large" and caught.value.details["limit"] == 4


def test_a_body_over_a_source_with_read_only():
    """Servers whose input has no read1 serve as well."""

    class Input:
        def read(self, size):
            return b"x" * size

    assert call(limit_body(reading, lambda environ: 9), CONTENT_LENGTH="9", **{"wsgi.input": Input()})[2] == b"x" * 9


def test_an_exception_is_logged_once_and_hidden(caplog):
    """The client gets a request id, the log the same id with the traceback."""
    with caplog.at_level(logging.ERROR):
        status, _, body = call(last_resort(raising(KeyError("secret path"))))
    found = json.loads(body)
    assert status == 500 and b"secret" not in body and found["code"] == "internal"
    [record] = caplog.records
    assert found["request_id"] in record.getMessage() and record.exc_info[0] is KeyError


def test_refusals_that_leak_out_are_problems(caplog):
    """Refused and Invalid are answers, not failures: nothing is logged."""
    assert call(last_resort(raising(Refused("own-work"))))[0] == 403
    assert call(last_resort(raising(Invalid("bad", "x", "y"))))[0] == 400
    assert not caplog.records


def streaming(*parts, closed=None):
    def app(environ, start_response):
        start_response("200 OK", [])
        try:
            for part in parts:
                if isinstance(part, Exception):
                    raise part
                yield part
        finally:
            if closed is not None:
                closed.append(True)

    return app


def test_a_failure_before_the_first_byte_still_has_its_own_status():
    """The head is held until there is a byte to send."""
    closed = []
    assert call(last_resort(streaming(b"", Refused("not-found"), closed=closed)))[0] == 404
    assert closed == [True]


def test_a_failure_after_the_first_byte_goes_on_to_the_server(caplog):
    """Nothing can be said any more: the exception is logged and the server breaks the answer off."""
    with pytest.raises(BrokenAnswer):
        call(last_resort(streaming(b"x", KeyError("y"))))
    assert len(caplog.records) == 1


def test_answers_pass_unchanged():
    """A good answer goes through, empty ones too, and so does what was written."""
    assert call(last_resort(streaming(b"a", b"b"))) == (200, {}, b"ab")
    assert call(last_resort(streaming())) == (200, {}, b"")
    written = []

    def writing(environ, start_response):
        start_response("200 OK", [])(b"a")
        return [b"b"]

    result = last_resort(writing)({}, lambda status, headers: written.append)
    assert list(result) == [b"b"] and written == [b"a"]


@pytest.mark.parametrize(
    "app",
    [
        lambda environ, start_response: [b"x"],
        lambda environ, start_response: [start_response("200 OK", []), start_response("200 OK", [])],
    ],
)
def test_misused_start_response_is_internal(app):
    """An application that breaks the protocol is a bug like any other."""
    assert call(last_resort(app))[0] == 500
