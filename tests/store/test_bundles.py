"""Archives of packages and submissions: their bytes, names, tags and lengths, by stock tools too."""

import hashlib
import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from taskrepo import archives
from taskrepo.archives import ArchiveKind, archive_length, archive_tag, write_archive
from taskrepo.bundles import Bundle, package_bundle, submission_bundle
from taskrepo.commands import Claim, Erase, Submit
from taskrepo.documents import load_yaml
from taskrepo.exchange import Exchange
from taskrepo.model import Manifest
from taskrepo.package import parse_manifest
from taskrepo.view import View
from tests.support.ledgers import made, opened, refusal, task_of, upload

KINDS: tuple[ArchiveKind, ...] = ("zip", "tar.gz")
LARGE = os.urandom(1_300_000)
FILES = {
    "README.md": b"# Hi\n", "input/\u00fcn\u00ef \U0001f389/a b.txt": b"a\n", "input/large.bin": LARGE,
    "context/e": b"",
}  # fmt: skip
MANIFEST = Manifest("Count", "Count it.\n\nAll of it.", labels=("gold",), result_schema='{"type":"object"}')


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One exchange for the module; each test makes its own tasks."""
    with opened(made(tmp_path_factory.mktemp("exchange"))) as running:
        yield running


def seen(exchange: Exchange, actor: str = "bob") -> View:
    """What an actor sees now."""
    return exchange.view(exchange.directory.actors[actor])


def packed(exchange: Exchange, manifest: Manifest = MANIFEST) -> str:
    """A task with files small, large, empty and oddly named."""
    return task_of(exchange, manifest, *(upload(exchange, path, data) for path, data in FILES.items()))


def written(bundle: Bundle, kind: ArchiveKind) -> bytes:
    """The whole archive."""
    return b"".join(bundle.chunks(kind))


def unpacked(data: bytes, kind: ArchiveKind) -> dict[str, bytes]:
    """Path → content, as the standard library reads it."""
    if kind == "zip":
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            assert bundle.testzip() is None
            return {name: bundle.read(name) for name in bundle.namelist()}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", KINDS)
def test_a_package(exchange: Exchange, kind: ArchiveKind) -> None:
    """The archive holds the manifest and every file, large and small, under its own name."""
    task = packed(exchange)
    view = seen(exchange)
    bundle = package_bundle(view, view.task(task))
    held = unpacked(written(bundle, kind), kind)
    assert parse_manifest(held.pop("manifest.yaml")) == MANIFEST
    assert held == FILES
    assert bundle.name(kind) == f"{task}-v1.{kind}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_submission(exchange: Exchange, kind: ArchiveKind) -> None:
    """A submission's archive holds its summary, its files and the list that says what each is."""
    task = task_of(exchange)
    exchange.execute(Claim(task), "bob", via="api")
    given = {"result.json": b"{}", "artifacts/r.csv": b"1\n", "logs/run.log": b"ok"}
    files = tuple(upload(exchange, path, data, "submission_artifact") for path, data in given.items())
    exchange.execute(Submit(task, 1, "Done.\n\nAll rows.", files), "bob", via="api")
    view = seen(exchange)
    bundle = submission_bundle(view, view.task(task), 1)
    held = unpacked(written(bundle, kind), kind)
    assert (bundle.name(kind), held.pop("summary.md")) == (f"{task}-submission-1.{kind}", b"Done.\n\nAll rows.\n")
    listed = load_yaml(held.pop("files.yaml"), "files.yaml")
    assert {entry["path"]: entry["sha256"] for entry in listed} == {
        path: hashlib.sha256(data).hexdigest() for path, data in given.items()
    }
    assert held == given
    assert refusal(submission_bundle, view, view.task(task), 2).code == "unknown-submission"


def test_a_bare_submission(exchange: Exchange) -> None:
    """A submission without files is its summary alone."""
    task = task_of(exchange)
    exchange.execute(Claim(task), "bob", via="api")
    exchange.execute(Submit(task, 1, "Nothing to do."), "bob", via="api")
    view = seen(exchange)
    held = unpacked(written(submission_bundle(view, view.task(task), 1), "zip"), "zip")
    assert held == {"summary.md": b"Nothing to do.\n"}


@pytest.mark.parametrize("kind", KINDS)
def test_private_content(exchange: Exchange, kind: ArchiveKind) -> None:
    """A private task's archives hold plain content, not what the ledger holds; once it is erased there is none."""
    task = packed(exchange, Manifest("Salaries", "Secret.", visibility="private", readers=("bob",)))
    exchange.execute(Claim(task), "bob", via="api")
    artifact = upload(exchange, "artifacts/a", b"x", "submission_artifact")
    exchange.execute(Submit(task, 1, "Done.", (artifact,)), "bob", via="api")
    view = seen(exchange)
    then = view.task(task)
    held = unpacked(written(package_bundle(view, then), kind), kind)
    assert {path: data for path, data in held.items() if path != "manifest.yaml"} == FILES
    made_of = unpacked(written(submission_bundle(view, then, 1), kind), kind)
    assert set(load_yaml(made_of["files.yaml"], "files.yaml")[0]) == {
        "path", "name", "media_type", "size", "sha256", "kind", "by", "at",
    }  # fmt: skip
    exchange.execute(Erase(task, "asked to"), "alice", via="api")
    now = seen(exchange, "alice")
    assert refusal(package_bundle, now, now.task(task)).code == "erased"
    assert refusal(submission_bundle, now, now.task(task), 1).code == "erased"


@pytest.mark.parametrize("kind", KINDS)
def test_same_content_same_bytes(exchange: Exchange, kind: ArchiveKind) -> None:
    """Two tasks of one content have the same archive and the same tag; another content has neither."""
    tasks = [packed(exchange) for _ in range(2)]
    view = seen(exchange)
    first, second = (Bundle("same", package_bundle(view, view.task(task)).contents) for task in tasks)
    assert written(first, kind) == written(second, kind)
    assert first.tag(kind) == second.tag(kind) != first.tag(KINDS[kind == "zip"])
    other = packed(exchange, Manifest("Count", "Count them."))
    view = seen(exchange)
    assert package_bundle(view, view.task(other)).tag(kind) != first.tag(kind)


def test_tags_cannot_be_mixed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tag depends on every path, size and hash, on the kind and on who made it, but not on the order."""
    one, two = ("a", 1, "0" * 64), ("b", 2, "1" * 64)
    assert archive_tag([one, two], "zip") == archive_tag([two, one], "zip")
    others = [[one], [("a\0", 1, "0" * 64)], [("a", 11, "0" * 64)], [("a", 1, "1" * 64)], []]
    tags = {archive_tag(entries, kind) for entries in others for kind in KINDS}
    assert len(tags) == 2 * len(others)
    before = archive_tag([one], "zip")
    monkeypatch.setattr(archives, "_WRITER", 2)
    assert archive_tag([one], "zip") != before


@pytest.mark.parametrize("limit", [None, 0, 40, 300, 1000])
def test_the_length_is_known(monkeypatch: pytest.MonkeyPatch, limit: int | None) -> None:
    """A zip is as long as it was said to be, also where sizes, places and counts need the larger fields."""
    if limit is not None:
        monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 7)
    for sizes in ([], [0], [1, 39, 41], [100] * 6, [10] * 9, [320, 0, 290, 1100]):
        data = {f"input/\u00e4{n}": bytes(size) for n, size in enumerate(sizes)}
        entries = [(path, len(content), _opener(content)) for path, content in data.items()]
        whole = b"".join(write_archive(entries, "zip"))
        assert archive_length([(path, size) for path, size, _ in entries], "zip") == len(whole)
        assert unpacked(whole, "zip") == data
    assert archive_length([("a", 1)], "tar.gz") is None


def _opener(content: bytes) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(content)


def test_stock_tools_read_them(exchange: Exchange, tmp_path: Path) -> None:
    """`tar` unpacks the one, Python's own command line the other, to the same files."""
    task = packed(exchange)
    view = seen(exchange)
    bundle = package_bundle(view, view.task(task))
    for kind, command in (("zip", ["python3", "-m", "zipfile", "-e"]), ("tar.gz", ["tar", "xzf"])):
        target = tmp_path / kind
        target.mkdir()
        source = tmp_path / bundle.name(kind)  # type: ignore[arg-type]
        source.write_bytes(written(bundle, kind))  # type: ignore[arg-type]
        where = [str(target)] if kind == "zip" else ["-C", str(target)]
        subprocess.run([*command, str(source), *where], check=True, capture_output=True)
        files = {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}
        assert {path: data for path, data in files.items() if path != "manifest.yaml"} == FILES


@pytest.mark.parametrize("kind", KINDS)
def test_one_file_is_open_at_a_time(kind: ArchiveKind) -> None:
    """However many files there are, one is open, and what is held in memory does not grow."""
    open_now: list[io.BytesIO] = []

    def opened_one() -> BinaryIO:
        assert all(stream.closed for stream in open_now)
        open_now.append(io.BytesIO(os.urandom(300_000)))
        return open_now[-1]

    entries = [(f"f{n}", 300_000, opened_one) for n in range(12)]
    assert max(map(len, write_archive(entries, kind))) < 200_000
    assert len(open_now) == 12


@pytest.mark.parametrize("kind", KINDS)
def test_small_files_come_in_large_pieces(kind: ArchiveKind) -> None:
    """A thousand small files are sent in a few pieces, not in a thousand."""
    entries = [(f"input/{n:04}", 100, lambda: io.BytesIO(os.urandom(100))) for n in range(1000)]
    assert len(list(write_archive(entries, kind))) < 10
