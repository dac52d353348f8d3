"""Packages and submissions on their way out: files into a folder, archives, versions and what changed between them.

* A file in a folder is checked against its size and SHA-256; an archive is there whole, or not at all.
* Nothing that is there is replaced, unless told so.
* Of a task are downloaded its package as it is now, submissions and attachments; or just one version or submission.

>>> versions(parsed("versions 4k7q2m9x"), desk).parts[0].rows[0][:2]                    # doctest: +SKIP
('2', '2026-11-21T05:00:00Z')
"""

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from taskrepo import folders
from taskrepo.desk import Desk, Json
from taskrepo.documents import dump_yaml
from taskrepo.errors import Invalid, Refused
from taskrepo.packing import named_kind
from taskrepo.remote import fetch, held, manifest_yaml, texts
from taskrepo.terminal import Answer, Table

_MOST: Final = 999_999
Found = list[tuple[str, str, Json]]  # the path below the folder asked for, where the task lists the file, and itself


def versions(args: Namespace, desk: Desk) -> Answer:
    """The versions of a package."""
    found = desk.versions(args.id)
    heads = ("version", "when", "by", "event", "title", "commit")
    rows = [
        (str(v["number"]), v["at"], v["by"], v["event"], v["title"], v["commit"][:12]) for v in found["versions"]
    ]
    return Answer(found, (Table(heads, rows),))


def diff(args: Namespace, desk: Desk) -> Answer:
    """What changed between two versions."""
    old = _number(args.old, "A")
    new = _number(args.new, "B") if args.new is not None else int(desk.task(args.id)["version"])
    found = desk.compare(args.id, old, new)
    parts = (*map(_field, found["manifest"]), *map(_file, found["files"]))
    return Answer(found, parts or (f"Versions {old} and {new} are the same.",))


def download(args: Namespace, desk: Desk) -> Answer:
    """Files of a task into a folder, or an archive of them."""
    if args.submission is not None and args.version is not None:
        raise Invalid("usage", "", "give --submission or --version, not both")
    place = ""
    for name in ("submission", "version"):
        if (number := getattr(args, name)) is not None:
            place = f"{name}s/{_number(number, f'--{name}')}"
    if args.archive is None:
        return _into_folder(args, desk, place)
    if args.path or args.output:
        raise Invalid("usage", "", "--archive holds everything in one file: it goes with neither PATH nor --to")
    return _archive(args, desk, place)


def _archive(args: Namespace, desk: Desk, place: str) -> Answer:
    if args.archive == "-":
        with desk.archive(args.id, place, "tar.gz") as stream:
            while data := stream.read(folders.CHUNK):
                sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return Answer(None)
    target = Path(args.archive)
    kind = named_kind(target, "--archive")
    size = folders.save(target, lambda: desk.archive(args.id, place, kind), replace=args.force)
    return Answer({"archive": str(target), "size": size}, (str(target),))


def _into_folder(args: Namespace, desk: Desk, place: str) -> Answer:
    task, beside, listed = _content(args.id, desk, place)
    suffix = place.replace("versions/", "-v").replace("submissions/", "-submission-")
    root = Path(args.output or f"{task}{suffix}")
    wanted = args.path.rstrip("/") if args.path else ""
    found = [f for f in listed if not wanted or f[0] == wanted or f[0].startswith(wanted + "/")]
    if wanted and not found:
        raise Invalid("unknown-file", "path", f"{task} has no file {wanted!r}; `taskrepo files` lists them")
    put = {} if wanted else beside
    written = [folders.put_bytes(root, path, data, replace=args.force) for path, data in put.items()]
    written += [fetch(desk, task, root, *file, replace=args.force) for file in found]
    return Answer({"folder": str(root), "files": [str(p) for p in written]}, tuple(str(p) for p in written))


def _content(typed: str, desk: Desk, place: str) -> tuple[str, Mapping[str, bytes], Found]:
    """The task's id, what is written beside the files, and the files, of the whole task or of one place in it."""
    task = desk.task(typed)
    kind, _, number = place.partition("/")
    if kind == "versions":
        version = desk.version(task["id"], int(number))
        return task["id"], {"manifest.yaml": dump_yaml(version["manifest"])}, _listed(place, version["files"])
    if kind == "submissions":
        made = next((s for s in task["submissions"] if s["number"] == int(number)), None)
        if made is None:
            raise Refused("unknown-submission", f"{task['id']} has no submission {number}")
        return task["id"], {"summary.md": f"{made['summary']}\n".encode()}, _listed(place, made["files"])
    return task["id"], {"manifest.yaml": manifest_yaml(task), **dict(texts(task))}, list(held(task))


def _listed(place: str, files: list[Json]) -> Found:
    return [(file["path"], place, file) for file in files]


def _number(number: int, where: str) -> int:
    if not 1 <= number <= _MOST:
        raise Invalid("usage", where, f"is a number from 1 to {_MOST:,}")
    return number


# ── showing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _field(change: Json) -> str:
    return "\n".join((f"{change['field']}:", *_signed("-", change["old"]), *_signed("+", change["new"])))


def _signed(sign: str, value: Any) -> Iterator[str]:
    text = dump_yaml(value).decode() if isinstance(value, dict | list) and value else str(value or "")
    return (f"{sign} {line}" for line in text.splitlines())


def _file(change: Json) -> str:
    old, new = change["old"], change["new"]
    said = f"{change['change']} {change['path']}"
    if change["change"] == "renamed":
        return f"renamed {old['path']} to {new['path']}"
    if change["diff"]:
        return f"{said}\n{change['diff'].removesuffix(chr(10))}"
    sizes = " to ".join(f"{each['size']:,}" for each in (old, new) if each)
    return f"{said} ({sizes} bytes{', ' + change['no_diff'] if change['no_diff'] else ''})"
