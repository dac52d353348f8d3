"""A package of two thousand small files, from the archive it comes in to the clone it ends in."""

import io
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from taskrepo.store import Store
from taskrepo.verify import verify
from tests.support.http import Site, running

COUNT: Final = 2000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A served exchange."""
    with running(tmp_path_factory.mktemp("many")) as site:
        yield site


def _files(count: int) -> dict[str, bytes]:
    return {f"input/part-{n % 40:02}/file-{n:05}.txt": f"{count} {n}\n".encode() * 9 for n in range(count)}


def _package(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("manifest.yaml", "title: Many files\ndescription: Of them.\n")
        for path, data in files.items():
            archive.writestr(path, data)
    return out.getvalue()


def _made(site: Site, count: int) -> str:
    made = site.call(
        "alice", "POST", "/tasks", _package(_files(count)), headers={"Content-Type": "application/zip"}
    )
    assert made.status == 201, made.body[:300]
    return str(made.json["task"]["id"])


def test_two_thousand_files_go_all_the_way(site: Site, tmp_path: Path) -> None:
    """Created from one archive, they are listed, downloaded one by one and as archives, cloned, and verified."""
    files = _files(COUNT)
    task = _made(site, COUNT)
    listed = site.get("bob", f"/tasks/{task}").json["files"]
    assert {file["path"]: file["size"] for file in listed} == {path: len(data) for path, data in files.items()}
    for path in list(files)[:: COUNT // 20]:
        assert site.get("bob", f"/tasks/{task}/files/{path}").body == files[path]
    zipped = zipfile.ZipFile(io.BytesIO(site.get("bob", f"/tasks/{task}/archive.zip").body))
    assert {name: zipped.read(name) for name in zipped.namelist() if name.startswith("input/")} == files
    with tarfile.open(fileobj=io.BytesIO(site.get("bob", f"/tasks/{task}/archive.tar.gz").body)) as tarred:
        assert sum(member.name.startswith("input/") for member in tarred.getmembers()) == COUNT
    repository = site.exchange.config.repository
    subprocess.run(["git", "clone", "-q", repository, tmp_path / "clone"], check=True)
    assert sum(1 for _ in (tmp_path / "clone" / "tasks").rglob("file-*.txt")) == COUNT
    assert verify(tmp_path / "clone").problem is None


def test_what_a_file_costs_does_not_grow_with_their_number(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects read for listing and for an archive are in proportion to the files: counted, not timed."""
    read: list[str] = []
    real = Store.read

    def counted(self: Store, oid: str, kind: str) -> bytes:
        read.append(oid)
        return real(self, oid, kind)

    spent = {}
    for count in (250, 500, 1000):
        task = _made(site, count)
        with monkeypatch.context() as patched:
            patched.setattr(Store, "read", counted)
            read.clear()
            assert site.get("bob", f"/tasks/{task}").status == 200
            assert site.get("bob", f"/tasks/{task}/archive.zip").status == 200
            spent[count] = len(read)
    assert spent[250] >= 250, "the counting counts"
    assert spent[1000] / 1000 <= 1.3 * spent[250] / 250 and spent[500] / 500 <= 1.3 * spent[250] / 250, spent
