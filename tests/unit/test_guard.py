"""Names and media types: what is refused, what is kept."""

import string
from unicodedata import category, normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrepo import guard
from taskrepo.errors import Invalid

GOOD = [
    "README.md",
    "input/prices.csv",
    "input/Ünïcode/数据 (1).csv",
    "input/❤️.png",
    "input/a b/c-d_e+f=g,h;i'j@k#l$m%n&o[p]{q}~.txt",
    "input/Screenshot 3.14\u202fPM.png",
    "input/价格：终.txt",
    "input/more…",
    "input/git/gitignore/config",
    "input/console/common.txt/auxiliary",
    "input/...a",
    "input/-rf",
    "/".join(["d"] * 15 + ["f"]),
    "input/" + "x" * 200,
]

BAD = [
    "", "/etc/passwd", "//x", "a//b", "a/", "./a", "a/.", "a/..", "../a", "a/../b", "\\a", "a\\b", "C:a", "a:b",
    "a\nb", "a\0b", "a\x1b[2Jb", "a\x7f", "a\u0085b", "a\u200bb", "a\u202eb", "a\u2066b", "\ufeffa", "a\u00adb",
    "a\u2028b", "a\ud800b", "a\uffffb", "a\ufdd0b", "a\u3164b", "a\u115fb", "a\U000e0041b",
    "a.", "a. ", "a ", " a", "a/b./c", "a\u3000", "...", "\u2025", "．．/a",
    "CON", "con.txt", "input/NUL", "nul.tar.gz", "aux .c", "COM1", "com0.x", "LPT9", "com¹", "CONIN$", "ＣＯＮ",
    ".git", ".GIT", "a/.git/config", ".g\u200cit", ".git ", ".git.", ".git::$INDEX_ALLOCATION", "git~1", "GIT~2.x",
    "gitmod~1", "gi7eba~1", "gi250a~1", "．git", ".ｇｉｔ", ".gi\ufe0ft", ".gıt\u200d", ".gitattributes",
    ".gitmodules", ".gitignore", ".GitHub/x", "a/.gitKeep",
    'a"b', "a*b", "a?b", "a<b", "a>b", "a|b",
    "x" * 201, "ä" * 101, "/".join(["d"] * 17), "/".join(["x" * 190] * 5), "x/" * 2000 + "x",
]


@pytest.mark.parametrize("path", GOOD)
def test_good_paths(path: str) -> None:
    """A name people really use is accepted, unchanged when it is NFC."""
    assert guard.check_path(path, "file") == normalize("NFC", path)


@pytest.mark.parametrize("path", BAD)
def test_bad_paths(path: str) -> None:
    """A path that some system reads as another one, or cannot store, is refused, in words fit for a log."""
    with pytest.raises(Invalid) as caught:
        guard.check_path(path, "package")
    assert (caught.value.code, caught.value.where) == ("bad-path", "package")
    caught.value.message.encode()
    assert len(caught.value.message) < 400
    assert not any(category(char) in ("Cc", "Cf") for char in caught.value.message)


def test_normalises() -> None:
    """Decomposed letters, as macOS sends them, come out composed."""
    assert guard.check_path("input/u\u0308.csv", "file") == "input/\u00fc.csv"


@given(st.text(max_size=60))
def test_accepted_is_harmless(text: str) -> None:
    """Whatever is accepted is stable, relative, shallow, printable and nothing to git."""
    try:
        path = guard.check_path(text, "x")
    except Invalid:
        return
    assert guard.check_path(path, "x") == path
    assert not path.startswith("/")
    assert not set(path) & set('\\:*?"<>|\0\n\r')
    assert all(part not in ("", ".", "..") and not part.casefold().startswith(".git") for part in path.split("/"))


CLASHES = [
    ("input/a.csv", "input/a.csv"),
    ("input/a.csv", "input/A.csv"),
    ("input/straße", "input/STRASSE"),
    ("input/ﬁ.txt", "input/fi.txt"),
    ("input/u\u0308", "input/\u00fc"),
    ("input/❤.png", "input/❤️.png"),
    ("input/a", "input/a/b"),
    ("input/a/b", "input/A"),
    ("input/A/x", "input/a/y"),
    ("input/K", "input/\u212a"),
]


@pytest.mark.parametrize(("first", "second"), CLASHES)
@pytest.mark.parametrize("swap", [False, True])
def test_clashes(first: str, second: str, swap: bool) -> None:
    """Two paths that cannot lie side by side everywhere are refused, and the message names both."""
    pair = (second, first) if swap else (first, second)
    with pytest.raises(Invalid) as caught:
        guard.check_paths(["README.md", *pair, "input/z"], "package")
    assert caught.value.code == "bad-path"
    for path in pair:
        assert repr(normalize("NFC", path)) in caught.value.message


def test_fullwidth_slash_is_no_slash() -> None:
    """A character that merely looks like a slash separates nothing."""
    assert guard.check_paths(["a／b", "a/b"], "x") == ("a／b", "a/b")


def test_many_paths() -> None:
    """Thousands of deep paths are checked in their order."""
    paths = [f"input/{'/'.join('abcdefgh')}/{n}.csv" for n in range(5000)]
    assert guard.check_paths(paths, "package") == tuple(paths)


def test_layouts() -> None:
    """Packages and submissions take only files of their layout, and the refusal tells the layout."""
    package = ("README.md", "input/a", "context/b/c", "acceptance/d")
    assert guard.check_package_paths(package) == package
    submission = ("result.json", "artifacts/a.csv", "logs/run.log")
    assert guard.check_submission_paths(submission) == submission
    for path in ("manifest.yaml", "readme.md", "Input/a", "input", "artifacts/x"):
        with pytest.raises(Invalid, match=r"README\.md and files under input/, context/, acceptance/"):
            guard.check_package_paths([path])
    for path in ("summary.md", "input/x", "logs", "review.yaml"):
        with pytest.raises(Invalid, match=r"result\.json and files under artifacts/, logs/"):
            guard.check_submission_paths([path])


def test_place() -> None:
    """A bare name goes to the first folder of the layout; a path that has its place stays."""
    assert guard.PACKAGE.place("prices.csv") == "input/prices.csv"
    assert guard.PACKAGE.place("README.md") == "README.md"
    assert guard.PACKAGE.place("context/a.md") == "context/a.md"
    assert guard.SUBMISSION.place("out/a.csv") == "artifacts/out/a.csv"
    assert guard.SUBMISSION.place("logs") == "artifacts/logs"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.csv", "a.csv"),
        ("C:\\Users\\bob\\a.csv", "a.csv"),
        ("/tmp/../a.csv", "a.csv"),
        ("evil\u202efdp.exe", "evilfdp.exe"),
        ("a\r\nSet-Cookie: x", "aSet-Cookie: x"),
        ("  Ünï  数据.csv ", "Ünï 数据.csv"),
        ("می\u200cخواهم.txt", "می\u200cخواهم.txt"),
        ("a\ud800.txt", "a.txt"),
        ("", "file"),
        ("..", "file"),
        ("\u200d\u200d", "file"),
        ("x/", "file"),
        ("n" * 300 + ".csv", "n" * 251 + ".csv"),
        ("n" * 300 + "." + "s" * 50, "n" * 255),
    ],
)
def test_safe_name(name: str, shown: str) -> None:
    """A name for display keeps its letters and loses what steers a terminal, a header or a path."""
    assert guard.safe_name(name) == shown


@given(st.text(max_size=400))
def test_safe_name_always(name: str) -> None:
    """Any text becomes one short visible line, and cleaning it again changes nothing."""
    shown = guard.safe_name(name)
    assert 1 <= len(shown) <= guard.MAX_NAME
    assert not set(shown) & set("/\\\r\n\0\u202e")
    assert guard.safe_name(shown) == shown
    shown.encode()


PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.mark.parametrize(
    ("head", "path", "expected"),
    [
        (b"", "empty.txt", "text/plain"),
        (b"a,b\n1,2\n", "a.csv", "text/csv"),
        (b"# Hello\n", "README.MD", "text/markdown"),
        (b'{"a": 1}', "r.json", "application/json"),
        (b"hello", "noext", "text/plain"),
        (b"hello", "a.exe", "text/plain"),
        (b"MZ is how it starts", "a.txt", "text/plain"),
        (b"<!DOCTYPE html><p>", "a.csv", "text/html"),
        (b"\xef\xbb\xbf <ScRiPt>alert(1)</script>", "a.png", "text/html"),
        (b"<svg xmlns='x'/>", "a.txt", "image/svg+xml"),
        (b"<?xml version='1.0'?>", "a.txt", "application/xml"),
        (b"plain", "a.html", "text/html"),
        ("größe".encode("latin-1"), "a.csv", "text/csv"),
        ("größe".encode("latin-1"), "a.bin", "application/octet-stream"),
        ("ä".encode() * 5 + b"\xc3", "cut.md", "text/markdown"),
        (PNG, "a.csv", "image/png"),
        (b"%PDF-1.7\n%\xe2\xe3", "a.txt", "application/pdf"),
        (b"GIF89a" + bytes(20), "a", "image/gif"),
        (b"\x1f\x8b\x08\0", "a.tar.gz", "application/gzip"),
        (b"PK\x03\x04" + bytes(30), "a.docx", guard._ZIP_SUFFIXES[".docx"]),
        (b"PK\x03\x04" + bytes(30), "a.csv", "application/zip"),
        (b"MZ" + bytes(60), "a.txt", "application/octet-stream"),
        (bytes(range(256)), "a.csv", "application/octet-stream"),
        (b"PAR1" + bytes(10), "a.parquet", "application/vnd.apache.parquet"),
    ],
)
def test_media_type(head: bytes, path: str, expected: str) -> None:
    """The type is what the content is; the suffix only refines text and zip containers."""
    assert guard.media_type(head, path) == expected


@given(st.binary(max_size=200), st.text(string.ascii_letters + "./", max_size=12))
def test_media_type_always(head: bytes, path: str) -> None:
    """Any bytes under any name get a well-formed type."""
    kind, _, name = guard.media_type(head, path).partition("/")
    assert kind.isalpha() and name
