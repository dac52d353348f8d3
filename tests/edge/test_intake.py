"""Form bodies on their way into staging."""

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskrepo import guard
from taskrepo.errors import Invalid, Refused
from taskrepo.files import Staging
from taskrepo.model import Policy
from taskrepo.web import intake
from taskrepo.web.intake import Form

LIMITS = Policy(max_file_bytes=1 << 20, max_task_bytes=3 << 20, max_files=5)
B = "----b0undary"


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "staging")


class Dribble:
    """A socket-like input that gives a few bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self.stream, self.step = io.BytesIO(data), step

    def read(self, size: int = -1, /) -> bytes:
        return self.stream.read(min(size, self.step) if size >= 0 else self.step)


def part(name: str, data: bytes, filename: str | None = None, extra: str = "") -> bytes:
    shown = "" if filename is None else f'; filename="{filename}"'
    head = f'--{B}\r\nContent-Disposition: form-data; name="{name}"{shown}\r\n{extra}\r\n'
    return head.encode("utf-8", "surrogateescape") + data + b"\r\n"


def request(*parts: bytes, end: bytes = f"--{B}--\r\n".encode(), **changes: Any) -> dict[str, Any]:
    data = b"".join(parts) + end
    return {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": f"multipart/form-data; boundary={B}",
        "CONTENT_LENGTH": str(len(data)),
        "wsgi.input": io.BytesIO(data),
        **changes,
    }


def read(staging: Staging, environ: dict[str, Any], **options: Any) -> Form:
    return intake.multipart(environ, staging, kind="task_attachment", limits=LIMITS, **options)


def refused(staging: Staging, environ: dict[str, Any]) -> str:
    with pytest.raises((Invalid, Refused)) as caught:
        read(staging, environ)
    assert list(staging.folder.iterdir()) == []
    caught.value.message.encode()
    return caught.value.code


def test_form(staging: Staging) -> None:
    """Fields come as text, files staged under the paths they name, held until released."""
    form = read(
        staging,
        request(
            part("manifest", "title: Größe\n".encode(), "manifest.yaml", "Content-Type: text/yaml\r\n"),
            part("state", b"draft"),
            part("files", b"a,b\n", "input/data/prices.csv", "Content-Type: image/png\r\n"),
            part("input/more.json", b"{}", "C:\\old\\more.json"),
            part("context/", b"# n", "n.md"),
            part("README.md", b"no file"),
            part("input/typed.txt", b"typed in"),
            part("unused", b"", ""),
            part("context/", b"", ""),
        ),
    )
    assert form.fields == {"manifest": "title: Größe\n", "state": "draft", "README.md": "no file"}
    assert [(field, file.path, file.name, file.media_type) for field, file in form.files] == [
        ("files", "input/data/prices.csv", "prices.csv", "text/csv"),
        ("input/more.json", "input/more.json", "more.json", "application/json"),
        ("context/", "context/n.md", "n.md", "text/markdown"),
        ("input/typed.txt", "input/typed.txt", "typed.txt", "text/plain"),
    ]
    assert staging.content(form.files[0][1].sha256) == b"a,b\n"
    staging.release(*form.sha256s)
    assert list(staging.folder.iterdir()) == []


def test_place(staging: Staging) -> None:
    """The caller says where a bare file name belongs."""
    form = read(staging, request(part("f", b"x", "a.csv"), part("f", b"y", "README.md")), place=guard.PACKAGE.place)
    assert [file.path for _, file in form.files] == ["input/a.csv", "README.md"]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 61, 1 << 20])
def test_any_chunking(staging: Staging, step: int) -> None:
    """However the bytes arrive, with a length or chunked, the form is the same."""
    content = (b"\r\n--" + B.encode()[:-1] + b"\r\n--\r") * 20
    for measured in (True, False):
        environ = request(part("a", b"1"), part("f", content, "input/x.bin"), part("g", b"", "input/empty"))
        environ["wsgi.input"] = Dribble(environ["wsgi.input"].read(), step)
        if not measured:
            del environ["CONTENT_LENGTH"]
            environ["wsgi.input_terminated"] = True
        form = read(staging, environ)
        assert (form.fields, len(form.files)) == ({"a": "1"}, 2)
        assert staging.content(form.files[0][1].sha256) == content
        staging.release(*form.sha256s)


def test_truncated(staging: Staging) -> None:
    """A form cut anywhere is truncated, whether or not its length owns up to it."""
    whole = request(part("a", b"1"), part("f", b"x" * 100, "input/x"))
    data = whole["wsgi.input"].read()
    for cut in range(len(data) - 2):
        environ = whole | {"wsgi.input": io.BytesIO(data[:cut])}
        assert refused(staging, environ) == "truncated-body"
        assert refused(staging, environ | {"wsgi.input": io.BytesIO(data[:cut]), "CONTENT_LENGTH": str(cut)}) in (
            "truncated-body",
            "bad-multipart",
        )


def test_disconnect(staging: Staging) -> None:
    """A connection that breaks is a truncated body, and what was staged is released."""

    class Broken(Dribble):
        def read(self, size: int = -1, /) -> bytes:
            data = super().read(size)
            if not data:
                raise ConnectionResetError
            return data

    environ = request(part("f", b"x" * 100, "input/x"), part("g", b"y" * 100, "input/y"), end=b"")
    environ |= {"wsgi.input": Broken(environ["wsgi.input"].read(), 50), "CONTENT_LENGTH": "1000"}
    assert refused(staging, environ) == "truncated-body"


def test_empty_body(staging: Staging) -> None:
    """A request without a body is no form."""
    assert refused(staging, {"CONTENT_TYPE": f"multipart/form-data; boundary={B}", "wsgi.input": io.BytesIO()}) == (
        "truncated-body"
    )


@pytest.mark.parametrize(
    ("content_type", "code"),
    [
        ("", "unsupported-media-type"),
        ("application/json", "unsupported-media-type"),
        ("multipart/mixed; boundary=x", "unsupported-media-type"),
        ("multipart/form-data", "bad-multipart"),
        ('multipart/form-data; boundary=""', "bad-multipart"),
        ("multipart/form-data; boundary=a; boundary=b", "bad-multipart"),
        ('multipart/form-data; boundary="a\x01b"', "bad-multipart"),
        ('multipart/form-data; boundary="a "', "bad-multipart"),
        (f"multipart/form-data; boundary={'x' * 71}", "bad-multipart"),
    ],
)
def test_content_type(staging: Staging, content_type: str, code: str) -> None:
    """Only multipart/form-data with one well-formed boundary is read."""
    assert refused(staging, request(CONTENT_TYPE=content_type)) == code


HOSTILE = [
    ("bad-path", part("f", b"x", "../../etc/passwd")),
    ("bad-path", part("input/.git/config", b"x", "config")),
    ("bad-path", part("f", b"x", "a\\b")),
    ("bad-path", part("f/", b"x")),
    ("bad-path", part("f", b"x", "input/A") + part("f", b"x", "input/a")),
    ("bad-multipart", part("a", b"1") + part("a", b"2")),
    ("bad-multipart", part("a", b"\xff\xfe")),
    ("bad-multipart", part("", b"1")),
    ("bad-multipart", part("n" * 101, b"1")),
    ("bad-multipart", part("a\x1b[2J", b"1")),
    ("bad-multipart", part("f", b"eA==", "input/x", "Content-Transfer-Encoding: base64\r\n")),
    ("bad-multipart", part("f", b"x", "input/x", "no header\r\n")),
    ("bad-multipart", part("f", b"x", "input/\udcff")),
    ("bad-multipart", f"--{B}\r\nContent-Type: text/plain\r\n\r\nx\r\n".encode()),
    ("bad-multipart", f'--{B}\r\nContent-Disposition: attachment; name="a"\r\n\r\nx\r\n'.encode()),
    ("bad-multipart", f"--{B}\nContent-Disposition: form-data\n\nx\n".encode()),
    ("bad-multipart", b"".join(part(f"n{n}", b"") for n in range(65))),
    ("too-large", part("a", b"x" * (intake.MAX_FIELD + 1))),
    ("too-large", part("f", b"not empty", "")),
    ("too-large", part("f", b"x", "input/x", f"X-A: {'x' * 5000}\r\n")),
    ("too-large", part("f", b"x", "input/x", "X-A: y\r\n" * 9)),
    ("too-large", b"".join(part("u", b"", "") for _ in range(200))),
    ("too-many-files", b"".join(part("f", b"x", f"input/{n}") for n in range(6))),
    ("file-too-large", part("f", b"x" * ((1 << 20) + 1), "input/x")),
]


@pytest.mark.parametrize(("code", "parts"), HOSTILE)
def test_hostile(staging: Staging, code: str, parts: bytes) -> None:
    """A hostile or broken form is refused with its code, and the file before it is released."""
    assert refused(staging, request(part("ok", b"staged first", "ok.txt"), parts)) == code


def test_too_long_body(staging: Staging) -> None:
    """A body longer than a form may be is refused: at once when it says so, else when it gets there."""
    announced = request(CONTENT_LENGTH=str(1 << 40))
    assert refused(staging, announced) == "too-large"
    assert announced["wsgi.input"].tell() == 0
    with pytest.raises(Refused, match="too-large"):
        intake.body({"wsgi.input": io.BytesIO(b"x" * 11), "wsgi.input_terminated": True}, 10).read()
    with pytest.raises(Invalid, match="malformed-content-length"):
        intake.body({"wsgi.input": io.BytesIO(), "CONTENT_LENGTH": "-1"}, 10)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 400), noise=st.binary(max_size=30), step=st.integers(1, 100))
def test_noise(staging: Staging, at: int, noise: bytes, step: int) -> None:
    """Noise anywhere in a form raises nothing but `Invalid` or `Refused`, and leaves nothing behind."""
    data = b"".join([part("a", b"1"), part("f", b"x" * 50, "input/x"), f"--{B}--\r\n".encode()])
    data = data[:at] + noise + data[at:]
    try:
        form = read(staging, request(CONTENT_LENGTH=str(len(data))) | {"wsgi.input": Dribble(data, step)})
    except (Invalid, Refused):
        pass
    else:
        staging.release(*form.sha256s)
    assert list(staging.folder.iterdir()) == []
