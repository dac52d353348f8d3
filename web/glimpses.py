"""What a list of files shows of each without leaving the page: a mark of its kind, a small picture, a short preview.

* Files are found again by the addresses in the list and read through the visitor's view, as their own pages are.
* A glimpse is a comfort: whatever cannot be read, or would take too much, has none, and the list stays as it is.
* Bounds hold for a page as a whole: files looked into, bytes read of them, and bytes of one that is shown.
* Pictures are raster images of a known, bounded size in pixels, at their download address; text is escaped as previews
  are.

>>> mark("text/csv", "input/a.csv"), mark("application/octet-stream", "LICENCE")
('csv', 'file')
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from typing import Any, Final
from urllib.parse import quote

from taskrepo.attempts import PICTURES
from taskrepo.charsets import decoded
from taskrepo.editions import edition
from taskrepo.errors import Refused, TaskrepoError
from taskrepo.model import File, Task
from taskrepo.package import entry_folder, submission_folder
from taskrepo.view import View
from taskrepo.web.preview_text import visible
from taskrepo.web.previews import Place, pixels, preview

MAX_SHOWN: Final = 4096
"""So many bytes a file may have to be shown in the list."""
MAX_PICTURE: Final = 2 << 20  # bytes: the browser is sent the whole picture
MAX_LIST: Final = 12
MAX_PAGE: Final = 40
_MAX_READ: Final = 8 << 20
_HEAD: Final = 64 << 10
_BOX: Final = (240, 160)
_ADDRESS: Final = re.compile(r"(/tasks/([0-9a-z]{8})/(?:(submissions|discussion|versions)/([0-9]{1,6})/)?files/).+")
_SUFFIX: Final = re.compile(r"\.([A-Za-z0-9]{1,5})$")
_ROOM: Final = "taskrepo.glimpses"


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What is shown of one file: its mark, and, if it has them, HTML of a small picture or of a short preview."""

    mark: str
    picture: str = ""
    html: str = ""


@dataclass
class _Room:
    """What may still be looked into for this page."""

    files: int = MAX_PAGE
    bytes: int = _MAX_READ

    def take(self, size: int) -> bool:
        if self.files < 1 or size > self.bytes:
            return False
        self.files, self.bytes = self.files - 1, self.bytes - size
        return True


@dataclass(frozen=True, slots=True)
class _Shelf:
    """Where files lie together, and the view they are read through."""

    view: View
    task: Task
    folder: str
    files: Mapping[str, File]

    def head(self, file: File, limit: int) -> bytes:
        return self.view.content(self.task, self.folder, file, limit)


def glimpses(view: View | None, environ: dict[str, Any], files: Sequence[Mapping[str, Any]]) -> list[Glimpse]:
    """A glimpse of each of these files, which are as `present.file` has them, at the addresses of the pages.

    `environ` is the request's, and keeps what is left for other lists of the same page.
    """
    room: _Room = environ.setdefault(_ROOM, _Room())
    plain = [Glimpse(mark(file["media_type"], file["path"])) for file in files]
    wanted = [at for at, file in enumerate(files) if _is_small(file)][:MAX_LIST]
    if view is None or not wanted or room.files < 1:
        return plain
    with suppress(TaskrepoError):
        shelf = _shelf(view, files[wanted[0]]["href"])
        for at in wanted:
            file = shelf.files.get(files[at]["href"])
            if file is not None and room.take(file.size):
                plain[at] = _glimpse(shelf, file, files[at]["href"])
    return plain


def mark(media_type: str, path: str) -> str:
    """The kind of a file in one short word: the ending of its name, or else what its media type begins with."""
    if found := _SUFFIX.search(path.rpartition("/")[2]):
        return found[1].lower()
    major = media_type.partition("/")[0]
    return major if major in ("image", "text", "audio", "video") else "file"


def _is_small(file: Mapping[str, Any]) -> bool:
    most = MAX_PICTURE if file["media_type"] in PICTURES else MAX_SHOWN
    return bool(0 < file["size"] <= most)


def _shelf(view: View, href: str) -> _Shelf:
    """Where the file at this address lies. Raises `Refused("unknown-file")`, and what reading it raises."""
    found = _ADDRESS.fullmatch(href)
    if found is None:
        raise Refused("unknown-file")
    base, task, number = found[1], view.task(found[2]), int(found[4] or 0)
    folder, files = "", task.files
    match found[3]:
        case "submissions":
            folder, files = f"{submission_folder(number)}/", view.delivery(task, number).files
        case "discussion":
            folder, files = f"{entry_folder(number)}/", view.remark(task, number).content.files
        case "versions":
            view, task = edition(view, task, number)
            files = task.files
    return _Shelf(view, task, folder, {base + quote(file.path): file for file in files})


def _glimpse(shelf: _Shelf, file: File, href: str) -> Glimpse:
    kind = mark(file.media_type, file.path)
    if file.media_type in PICTURES:
        return Glimpse(kind, picture=_picture(file, shelf.head(file, _HEAD), href))
    head = shelf.head(file, MAX_SHOWN)
    name = f"{file.path} of {shelf.folder.rstrip('/') or 'the package'}"
    made = preview(file, head, Place(href, name=name))
    # Lines by themselves are numbered with ids, of which a page of several files would have each more than once.
    plain = f"<pre>{visible(decoded(head).content)}</pre>" if made.html else ""
    html = made.html if made.source else plain
    # It scrolls by keyboard too (WCAG 2.1.1), so it can have the focus and says what it is.
    frame = f'<div class="peek" tabindex="0" role="region" aria-label="Preview of {escape(name)}">'
    return Glimpse(kind, html=f"{frame}{html}</div>" if html else "")


def _picture(file: File, head: bytes, href: str) -> str:
    """The picture, laid out to fit into `_BOX`; the empty string if its size is unknown or too large."""
    size = pixels(file.media_type, head)
    if size is None:
        return ""
    scale = min(1.0, _BOX[0] / size[0], _BOX[1] / size[1])
    width, height = (max(1, round(side * scale)) for side in size)
    source, name = escape(href), escape(file.path)
    return f'<img src="{source}" width="{width}" height="{height}" alt="{name}" loading="lazy" decoding="async">'
