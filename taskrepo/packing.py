"""Packages on their way in: a folder, a manifest or an archive becomes a task, or a folder becomes an archive.

* An archive is sent as it is; the exchange unpacks it, as it does for everybody.
* An archive is made only of a package that could be published: its manifest and paths are checked first.
* What cannot be made whole is not left behind.

>>> kind_of(Path("prices.tar.gz"))                                                      # doctest: +SKIP
'tar.gz'
"""

import io
from argparse import Namespace
from contextlib import closing
from functools import partial
from pathlib import Path

from taskrepo import folders, parse
from taskrepo.archives import ArchiveKind, write_archive
from taskrepo.desk import Desk
from taskrepo.documents import load_yaml
from taskrepo.errors import Invalid
from taskrepo.folders import Package
from taskrepo.package import MANIFEST
from taskrepo.remote import changed
from taskrepo.terminal import Answer, Terminal


def new(args: Namespace, desk: Desk) -> Answer:
    """Create a task from a package."""
    source = Path(args.package)
    kind = None if source.is_dir() else kind_of(source)
    if kind:
        archive = folders.single(source)
        made = desk.create_from(archive, kind, draft=args.draft, request_id=args.idempotency_key)
    else:
        made = desk.create(folders.pack(source), draft=args.draft, request_id=args.idempotency_key)
    return changed(made)


def pack(args: Namespace, terminal: Terminal) -> Answer:
    """Make an archive of a package without sending it."""
    target = Path(args.to)
    kind = named_kind(target, "--to")
    package = folders.pack(Path(args.package))
    manifest = parse.manifest(load_yaml(package.manifest, MANIFEST))
    size = _write(package, kind, target, replace=args.force)
    count = len(package.uploads)
    data = {"archive": str(target), "size": size, "title": manifest.title, "files": [u.path for u in package.uploads]}
    files = "1 file" if count == 1 else f"{count:,} files"
    return Answer(data, (f"{target} holds {manifest.title!r} with {files}, in {size:,} bytes",))


def kind_of(path: Path) -> ArchiveKind | None:
    """The kind of archive a file's name says it is."""
    name = path.name.lower()
    if name.endswith((".tar.gz", ".tgz")):
        return "tar.gz"
    return "zip" if name.endswith(".zip") else None


def named_kind(path: Path, where: str) -> ArchiveKind:
    """The kind of archive to make at `path`. Raises `Invalid("bad-archive-name")`."""
    kind = kind_of(path)
    if kind is None:
        raise Invalid("bad-archive-name", where, f"{path.name!r} does not end in .zip or .tar.gz")
    return kind


def _write(package: Package, kind: ArchiveKind, target: Path, *, replace: bool) -> int:
    entries = [(MANIFEST, len(package.manifest), partial(io.BytesIO, package.manifest))]
    entries += [(upload.path, upload.size, upload.open) for upload in package.uploads]  # type: ignore[misc]
    try:
        return folders.save(
            target, lambda: closing(folders.Chunks(write_archive(entries, kind))), replace=replace
        )
    except ValueError as error:
        raise Invalid("changed-file", str(target), f"a file changed while it was being read: {error}") from error
