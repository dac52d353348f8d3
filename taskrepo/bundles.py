"""What an archive of a package or of a submission holds, and the bytes it comes to.

* A package's archive can be sent again as it is: `manifest.yaml`, and the files at their paths.
* A submission's has the shape `taskrepo submit` takes, and `files.yaml`, which says what each file is.
* The same content is the same bytes, and has the same tag, known before any byte is made.
* One file is open at a time, so memory stays flat however large the content.

>>> bundle = package_bundle(view, view.task("4k7q2m9x"))                                # doctest: +SKIP
>>> bundle.name("zip"), bundle.length("zip")                                            # doctest: +SKIP
('4k7q2m9x-v2.zip', 1204)
"""

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO, NamedTuple

from taskrepo import plain
from taskrepo.archives import ArchiveKind, archive_length, archive_tag, write_archive
from taskrepo.documents import dump_yaml
from taskrepo.formats import MEDIA_TYPES as MEDIA_TYPES
from taskrepo.ledger import Delivery
from taskrepo.model import File, Task
from taskrepo.package import FILES, MANIFEST, SUMMARY, submission_folder
from taskrepo.view import View


class Content(NamedTuple):
    """One file of a bundle: its path, size in bytes, SHA-256, and how to open it."""

    path: str
    size: int
    sha256: str
    open: Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True)
class Bundle:
    """The content of an archive. `stem` is the archive's name without its suffix."""

    stem: str
    contents: tuple[Content, ...]

    def name(self, kind: ArchiveKind) -> str:
        """The archive's file name."""
        return f"{self.stem}.{kind}"

    def tag(self, kind: ArchiveKind) -> str:
        """A strong entity tag, without quotes: 64 hex digits."""
        return archive_tag(((c.path, c.size, c.sha256) for c in self.contents), kind)

    def length(self, kind: ArchiveKind) -> int | None:
        """The archive's size in bytes, where it can be known in advance."""
        return archive_length(((c.path, c.size) for c in self.contents), kind)

    def chunks(self, kind: ArchiveKind) -> Iterator[bytes]:
        """The archive. Raises what opening a file raises, and ValueError if one is not as long as it should be."""
        return write_archive(((c.path, c.size, c.open) for c in self.contents), kind)


def package_bundle(view: View, task: Task) -> Bundle:
    """The package of a task as of the view. Raises `Refused("erased" | "sealed-away")`."""
    view.check_content(task)
    manifest = dump_yaml(plain.manifest_to(task.manifest))
    stem = f"{task.id}-v{task.version}"
    return Bundle(stem, (_text(MANIFEST, manifest), *_files(view, task, "", task.files)))


def submission_bundle(view: View, task: Task, number: int) -> Bundle:
    """A submission of a task. Raises `Refused("unknown-submission" | "erased" | "sealed-away")`."""
    view.check_content(task)
    told = view.delivery(task, number)
    stem = f"{task.id}-submission-{number}"
    return Bundle(stem, (*_texts(told), *_files(view, task, f"{submission_folder(number)}/", told.files)))


def _texts(told: Delivery) -> Iterator[Content]:
    yield _text(SUMMARY, told.summary.encode() + b"\n")
    if told.files:
        # As its reader knows each file: how the ledger holds it is the ledger's.
        listed = [plain.file_to(replace(file, stored=None, seal="")) for file in told.files]
        yield _text(FILES, dump_yaml(listed))


def _text(path: str, data: bytes) -> Content:
    return Content(path, len(data), hashlib.sha256(data).hexdigest(), partial(io.BytesIO, data))


def _files(view: View, task: Task, folder: str, files: tuple[File, ...]) -> Iterator[Content]:
    opened = view.opener(task, folder)
    return (Content(file.path, file.size, file.sha256, partial(opened, file)) for file in files)
