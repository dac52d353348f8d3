"""Ten thousand hostile names through every way in and out: refused by name, or stored and given back as checked.

The names are drawn from what breaks headers, file systems, shells, git and eyes. What is checked here is held against
judges of its own: Python's Windows paths, a real folder, stock git with its NTFS and HFS+ guards, and the standard
library's header parser. Most of it runs in process; a sample of some hundreds goes over a socket through each door.
"""

import email.message
import io
import random
import re
import subprocess
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import Any, Final
from urllib.parse import quote, quote_from_bytes, unquote

import pytest

from taskrepo.errors import Invalid
from taskrepo.guard import check_path, safe_name
from taskrepo.web.download import disposition
from tests.support.http import Site, running

SEED: Final = 20261121
HOW_MANY: Final = 10_000
SAMPLE: Final = 150  # through each door
CONTENT: Final = b"content"
MANIFEST: Final = b'{"title": "t", "description": "d", "executor_constraints": "human_or_agent"}'

_PLAIN: Final = ("a", "report", "data 1", "Größe", "数据", "سلام", "e\u0301", "x" * 40, "1", "v2", "a.b", "=1")
_ENDS: Final = (".txt", ".csv", ".tar.gz", "", ".", " ", ".EXE", "~", ".html", ".svg", "::$DATA", ".lnk", ".md", "\t")
_HOSTILE: Final = (
    # headers
    "\r\nSet-Cookie: a=b", "\r\n\r\n<html>", "\n", "\r", "\x00", "\x0b", "\x1b[2J", "\x7f", "\x85", "\u2028", '"',
    '\\"', "\\",
    '"; filename="evil.exe', "; filename*=UTF-8''evil.exe", "%0d%0aX: y", "%00", "%2e%2e%2f", "filename=", "'",
    "`id`", "$(id)",
    # eyes
    "\u202egpj.exe", "\u200b", "\u200e", "\u2066", "\ufeff", "\u00ad", "\u3164", "\U000e0041", "\ufe0f", "\u180e",
    "\u0338",
    # bytes that are no text
    "\udcff", "\udc80\udcfe", "\ud800", "\udfff", "\ufffe", "\uffff", "\ufdd0",
    # file systems
    "..", "../", "../../../etc/passwd", "/", "//", "/etc/passwd", "..\\..\\", "C:", "c:\\x", "\\\\host\\share",
    "./", "a/./b", "~",
    "CON", "nul.txt", "COM1", "lpt9.log", "AUX ", "conin$", "COM¹", "a:b", "a|b", "<a>", "a?", "*", "．．/", "‥",
    "∕", "／",
    # git
    ".git", ".GIT/config", ".git ", ".git.", "git~1", "GIT~2/x", ".g\u200cit", ".gıt", "．git", ".gitattributes",
    ".gitmodules",
    ".git\u200d", "gitmod~1", "gi7eba~1", ".Git::$INDEX_ALLOCATION", "\u2024git", "-rf", "--upload-pack=x",
    ":(glob)*", "HEAD",
    # length
    "n" * 199, "n" * 256, "é" * 130, "d/" * 20, "\u0344" * 100, "n" * 5000,
)  # fmt: skip


def names(seed: int = SEED, count: int = HOW_MANY) -> list[str]:
    """The names: each hostile piece by itself and in every position, then random joins of all kinds; seeded."""
    draw = random.Random(seed)
    found = [join for p in _HOSTILE for join in (p, f"a{p}", f"{p}a.txt", f"a/{p}/b", f"a{p}b.csv")]
    while len(found) < count:
        pieces = draw.choices((*_PLAIN, *draw.choices(_HOSTILE, k=6)), k=draw.randint(1, 4))
        joint = draw.choice(("", "", ".", "-", " ", "/", "_"))
        if draw.random() < 0.15:
            pieces.append("".join(chr(draw.randrange(0x20, 0x3000)) for _ in range(draw.randint(1, 12))))
        found.append(joint.join(pieces) + draw.choice(_ENDS))
    draw.shuffle(found)
    return found


def checked(path: str) -> str | None:
    """The path as it is stored, or `None` if it is refused; anything else raised is a fault."""
    try:
        return check_path(path, "file")
    except Invalid as invalid:
        assert invalid.code == "bad-path"
        assert len(invalid.message) < 400
        assert invalid.message.isprintable() and invalid.message.encode()
        return None


@pytest.fixture(scope="module")
def accepted() -> list[str]:
    """What the guard lets through of all of them, as it is stored."""
    kept = [path for name in names() if (path := checked(f"input/{name}")) is not None]
    assert HOW_MANY // 10 < len(kept) < HOW_MANY * 9 // 10
    return kept


# ── in process ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_there_are_as_many_as_it_says() -> None:
    """The names are ten thousand, and the same ones each time."""
    made = names()
    assert len(made) == HOW_MANY
    assert made == names()
    assert len(set(made)) > HOW_MANY * 8 // 10


def test_no_header_breaks() -> None:
    """Every name makes one well-formed header, from which a standard parser reads the name for display."""
    for name in names():
        value = disposition(name)
        assert re.fullmatch(
            r"""attachment; filename="[A-Za-z0-9 !#$&'()+,.;=@^_`{}~\[\]-]*["]"""
            r"(; filename\*=UTF-8''[A-Za-z0-9!#$&+.^_`|~%-]+)?", value
        ), value  # fmt: skip
        plain, _, extended = value.partition("; filename*=UTF-8''")
        message = email.message.Message()
        message["Content-Disposition"] = plain
        assert message.get_content_disposition() == "attachment"
        assert message.get_filename() is not None
        shown = unquote(extended, errors="strict") if extended else message.get_filename()
        assert shown == safe_name(name)


def test_shown_names_are_tame() -> None:
    """The name for display has no folder, no control, no direction mark, is never empty nor too long."""
    for name in names():
        shown = safe_name(name)
        assert 0 < len(shown) <= 255
        assert "/" not in shown and "\\" not in shown and shown not in (".", "..")
        assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in shown)
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f]", shown)
        assert safe_name(shown) == shown
        shown.encode()


def test_stored_names_stay_inside(accepted: list[str]) -> None:
    """A stored path is relative and inside on POSIX and on Windows, names no device, and is checked already."""
    for path in accepted:
        assert check_path(path, "file") == path
        assert len(path.encode()) <= 900
        windows = PureWindowsPath(path)
        assert not windows.is_absolute() and not windows.drive and not windows.root
        assert not any(PureWindowsPath(part).is_reserved() for part in windows.parts)
        assert not {"", ".", ".."} & set(path.split("/")) and len(windows.parts) == path.count("/") + 1
        assert not {unicodedata.category(c) for c in path} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_stored_names_are_files(accepted: list[str], tmp_path: Path) -> None:
    """A real folder holds each where it says."""
    for at, path in enumerate(sorted(set(accepted))[::4]):
        root = tmp_path / str(at)
        target = root / path
        target.parent.mkdir(parents=True)
        target.write_bytes(CONTENT)
        assert target.resolve() == target
        assert [str(found.relative_to(root)) for found in root.rglob("*") if found.is_file()] == [path]


def test_stock_git_takes_them(accepted: list[str], tmp_path: Path) -> None:
    """Git, guarding NTFS and HFS+ as well, puts every stored path into its index, and gives each back as it was."""
    git = ["git", "-C", str(tmp_path), "-c", "core.protectNTFS=true", "-c", "core.protectHFS=true"]
    subprocess.run([*git, "init", "-q"], check=True)
    blob = subprocess.run([*git, "hash-object", "-w", "--stdin"], input=CONTENT, capture_output=True, check=True)
    oid = blob.stdout.strip()
    # Each in a folder of its own: one may be another's folder.
    rows = [b"100644 %s\t%d/%s" % (oid, at, path.encode()) for at, path in enumerate(accepted)]
    told = b"\0".join(rows) + b"\0"
    put = subprocess.run([*git, "update-index", "-z", "--index-info"], input=told, capture_output=True, check=False)
    assert (put.returncode, put.stderr) == (0, b"")
    listed = subprocess.run([*git, "ls-files", "-z"], capture_output=True, check=True).stdout.split(b"\0")[:-1]
    assert sorted(listed) == sorted(b"%d/%s" % (at, path.encode()) for at, path in enumerate(accepted))


# ── over a socket ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for all tests here, which denies no suffix: here the names themselves are judged."""
    with running(tmp_path_factory.mktemp("names")) as site:
        changed = site.call("admin", "PATCH", "/policy", {"denied_suffixes": [], "denied_types": []})
        assert changed.status == 200, changed.body
        yield site


def sample(door: int) -> list[str]:
    """Other names for each door."""
    return names(SEED + door, len(_HOSTILE) * 5 + 4 * SAMPLE)[:SAMPLE]


def raw_bytes(name: str) -> bytes:
    """The name as bytes, lone surrogates as the bytes they stand for, or as no text at all."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")


def given_back(site: Site, href: str, name: str) -> None:
    """The download has the content, one attachment header with the name for display, and no header of the name's."""
    answer = site.get("alice", href)
    assert (answer.status, answer.body) == (200, CONTENT)
    assert answer.headers["Content-Disposition"] == disposition(name)
    assert set(map(str.lower, answer.headers)) <= HEADERS


HEADERS: Final = frozenset([
    "accept-ranges", "cache-control", "connection", "content-disposition", "content-length",
    "content-security-policy",
    "content-type", "cross-origin-opener-policy", "cross-origin-resource-policy", "date", "etag", "keep-alive",
    "permissions-policy", "referrer-policy", "server", "x-content-type-options",
])  # fmt: skip
CODES: Final = frozenset(["bad-path", "bad-multipart", "bad-archive", "invalid-field", "not-found", "too-large"])


def refused(answer: Any) -> bool:
    """Whether the name was refused, and if so by a clear code."""
    if answer.status < 300:
        return False
    assert 400 <= answer.status < 500, answer.body
    assert answer.code in CODES, answer.body
    return True


@pytest.fixture
def nothing_left(site: Site) -> Iterator[None]:
    """After the test nothing waits in staging, and the exchange's folder, and that around it, have no new entry."""
    data = site.exchange.config.data
    before = [sorted(folder.iterdir()) for folder in (data, data.parent)]
    yield
    assert list(site.exchange.staging.folder.iterdir()) == []
    assert [sorted(folder.iterdir()) for folder in (data, data.parent)] == before


@pytest.mark.usefixtures("nothing_left")
def test_put(site: Site) -> None:
    """By PUT, in the address: a name is refused, or is a file of the draft under its checked path."""
    task = site.post("alice", "/tasks", {"title": "t", "description": "d", "state": "draft"}).json["task"]["id"]
    stored = 0
    for name in sample(1):
        answer = put_raw(site, f"/api/v1/tasks/{task}/files/input/{quote_from_bytes(raw_bytes(name))}")
        if answer[0] >= 300:
            assert 400 <= answer[0] < 500, answer
            continue
        path = check_path(f"input/{name}", "file")
        files = {file["path"]: file for file in site.get("alice", f"/tasks/{task}").json["files"]}
        given_back(site, files[path]["href"], path.rpartition("/")[2])
        stored += 1
    assert SAMPLE // 20 < stored < SAMPLE


def put_raw(site: Site, target: str) -> tuple[int, bytes]:
    """PUT to a target that no client library may tidy first: the status, and the whole answer."""
    key = site.keys["alice"]
    head = f"PUT {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(CONTENT)}\r\n"
    answer = site.raw(f"{head}Content-Type: text/plain\r\nConnection: close\r\n\r\n".encode() + CONTENT)
    assert answer.startswith(b"HTTP/1.1 ")
    lines = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    assert {line.partition(b":")[0].decode().lower() for line in lines} <= HEADERS | {"vary"}
    return int(answer.split(b" ", 2)[1]), answer


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    "segment",
    ["../../../../outside", "%2e%2e/%2e%2e/outside", "..%2f..%2foutside", "%5c..%5coutside", "input/%00",
    "input/a%0d%0aX:%20y",
     "/etc/passwd", "%2fetc%2fpasswd", "input/%ff%fe", "input/%c0%ae%c0%ae/x", "input/%u002e", ".git/config",
     "input/.git%20/x"],
)  # fmt: skip
def test_put_outside(site: Site, segment: str) -> None:
    """An address that would lead outside leads nowhere, however it is spelt."""
    task = site.post("alice", "/tasks", {"title": "t", "description": "d", "state": "draft"}).json["task"]["id"]
    assert 400 <= put_raw(site, f"/api/v1/tasks/{task}/files/{segment}")[0] < 500 or segment == "input/%u002e"


@pytest.mark.usefixtures("nothing_left")
def test_multipart(site: Site) -> None:
    """As a filename in a form: a name is refused, or is an attachment under its checked path."""
    task = site.task("alice")
    stored = 0
    for name in sample(2):
        part = b'--b\r\nContent-Disposition: form-data; name="files"; filename="' + raw_bytes(name) + b'"\r\n\r\n'
        text = b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nsee\r\n'
        body = text + part + CONTENT + b"\r\n--b--\r\n"
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = site.post("alice", f"/tasks/{task}/comment", body, headers=kind)
        if refused(answer):
            continue
        entry = site.get("alice", f"/tasks/{task}").json["discussion"][-1]
        for file in entry["files"]:
            assert check_path(file["path"], "file") == file["path"]
            assert file["name"] == safe_name(file["name"])
            given_back(site, file["href"], file["name"])
            stored += 1
    assert SAMPLE // 20 < stored < SAMPLE


def _zip(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        bundle.writestr("manifest.yaml", MANIFEST)
        info = zipfile.ZipInfo("x")
        info.filename, info.flag_bits = name, 0x800
        bundle.writestr(info, CONTENT)
    return out.getvalue()


def _tar(name: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.GNU_FORMAT, errors="surrogateescape") as bundle:
        for path, data in (("manifest.yaml", MANIFEST), (name, CONTENT)):
            info = tarfile.TarInfo(path)
            info.size = len(data)
            bundle.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(("kind", "build", "door"), [("application/zip", _zip, 3), ("application/gzip", _tar, 4)])
def test_archives(site: Site, kind: str, build: Callable[[str], bytes], door: int) -> None:
    """As an entry of an archive: a name is refused, or is a file of the package under its checked path."""
    stored = 0
    for name in sample(door):
        try:
            body = build(f"input/{name}")
        except UnicodeEncodeError:
            continue  # no packer can write it
        answer = site.post("alice", "/tasks?state=draft", body, headers={"Content-Type": kind})
        if refused(answer):
            continue
        for file in answer.json["task"]["files"]:
            assert check_path(file["path"], "file") == file["path"]
            assert file["path"].startswith("input/")
            given_back(site, file["href"], file["name"])
            stored += 1
    assert SAMPLE // 20 < stored < SAMPLE


def test_unknown_names_are_not_found(site: Site) -> None:
    """Asking for a file by any name at all is answered with a clean refusal."""
    task = site.task("alice")
    for name in sample(5):
        target = f"/api/v1/tasks/{task}/files/{quote(raw_bytes(name))}"
        answer = site.raw(
            f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.keys['alice']}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        assert int(answer.split(b" ", 2)[1]) in (400, 404, 405, 414), (name, answer[:200])
