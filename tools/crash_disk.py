"""A folder as the system calls of a trace change it, and what a power cut at any moment may leave of it.

* Pure: calls in, states out. What fsync(2) promises is taken literally: a file's content is safe once a sync of it that
  began after the write has ended; a name in a folder, new, moved or gone, once a sync of that folder has.
* Everything else may be there after a cut or not, each on its own: a write, a length, a name. That is more than any
  common file system does, and what none may be asked to rule out.
* Memory that SQLite's processes share (`-shm`) is no content of the disk: it is made anew from the log.

>>> disk = Disk("/d", {})
>>> for call in calls(['7 1.0 mkdir("/d/x", 0777) = 0']):
...     disk.apply(call)
>>> disk.state(1, keep=lambda change: True), disk.state(1, keep=lambda change: False)
({'x': None}, {})
"""

import os.path
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from tools.crash_calls import BadTrace, Call, descriptor, text, vector

_FOLDER_CALLS: Final = {"mkdir": (None, 0), "mkdirat": (0, 1)}
_GONE_CALLS: Final = {"unlink": (None, 0), "unlinkat": (0, 1), "rmdir": (None, 0)}
_MOVE_CALLS: Final = {"rename": (None, 0, None, 1), "renameat": (0, 1, 2, 3), "renameat2": (0, 1, 2, 3)}
_LINK_CALLS: Final = {"link": (None, 0, None, 1), "linkat": (0, 1, 2, 3)}
_WRITES: Final = ("write", "pwrite64", "writev", "pwritev")
_SYNCS: Final = ("fsync", "fdatasync")

State = dict[str, bytes | None]
"""What is on a disk: path → content, or `None` for a folder."""


@dataclass(slots=True, eq=False)
class Node:
    """A file or folder, whatever its names.

    `content` and `first` are what a file and a folder had in the beginning, `size` and `names` what they have now.
    """

    folder: bool
    content: bytes = b""
    size: int = 0
    names: "dict[str, Node]" = field(default_factory=dict)
    first: "dict[str, Node]" = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Change:
    """One thing that a call changed: content from `offset` on, a length, or names in folders.

    `path` is where it was. `durable` is the line on which a sync that covers it had ended, if one has.
    """

    path: str
    thread: int
    begun: int
    ended: int
    node: Node | None = None
    offset: int = 0
    data: bytes | None = None
    length: int | None = None
    names: tuple[tuple[Node, str, Node | None], ...] = ()
    durable: int | None = None

    def safe(self, line: int) -> bool:
        """Whether it is on the disk for good when the trace has come to this line."""
        return self.durable is not None and self.durable <= line

    @property
    def removal(self) -> bool:
        """Whether it does nothing but take names away."""
        return bool(self.names) and all(node is None for _, _, node in self.names)


@dataclass(slots=True)
class _Open:
    node: Node
    append: bool
    position: int = 0


@dataclass(slots=True)
class _Process:
    folder: str
    open: dict[int, _Open] = field(default_factory=dict)


class Disk:
    """The folder `root`, with what was in it at first, all of it safe. `changes` are in the order of their ends."""

    def __init__(
        self, root: str, base: Mapping[str, bytes | None], links: Iterable[tuple[str, ...]] = (), folder: str = "/"
    ) -> None:
        """`links` are the paths that are names of one file each; `folder` is where the first process is."""
        self.root, self.changes = root, list[Change]()
        self._folder = folder
        self._now = Node(True)
        self._fill(base, links)
        self._pending: dict[int, list[Change]] = {}
        self._processes: dict[int, _Process] = {}
        self._parents: dict[int, tuple[int, bool, bool]] = {}

    def _fill(self, base: Mapping[str, bytes | None], links: Iterable[tuple[str, ...]]) -> None:
        first = {path: names[0] for names in links for path in names[1:]}
        made: dict[str, Node] = {}
        for path, content in sorted(base.items()):
            above, _, name = path.rpartition("/")
            node = made.get(first.get(path, ""))
            node = node or Node(content is None, content=content or b"", size=len(content or b""))
            made[path] = node
            above_ = made[above] if above else self._now
            above_.names[name] = above_.first[name] = node

    # ── what calls do ───────────────────────────────────────────────────────────────────────────────────────────────

    def expect(self, all_calls: Iterable[Call]) -> None:
        """Learn who starts whom, since a child may call before its parent has heard that it is there."""
        for call in all_calls:
            if call.name in ("clone", "clone3", "fork", "vfork") and call.result > 0:
                words = " ".join(call.words)
                self._parents[call.result] = (call.thread, "CLONE_FILES" in words, "CLONE_FS" in words)

    def apply(self, call: Call) -> None:
        """Do what the call did. Raises `BadTrace` for what cannot be followed."""
        if call.result < 0:
            return
        process = self._process(call.thread)
        if call.name in ("chdir", "fchdir"):
            by_name = call.name == "chdir"
            process.folder = self._where(process, None, call.words[0]) if by_name else descriptor(call.words[0])[1]
        elif call.name in ("open", "openat", "creat"):
            self._open(process, call)
        elif call.name in ("dup", "dup2", "dup3", "fcntl"):
            self._dup(process, call)
        elif call.name == "lseek":
            if opened := process.open.get(descriptor(call.words[0])[0]):
                opened.position = call.result
        elif call.name in _WRITES:
            self._write(process, call)
        elif call.name in ("ftruncate", "truncate", "fallocate"):
            self._resize(process, call)
        elif call.name in _SYNCS:
            self._sync(call)
        elif call.name in ("sendfile", "copy_file_range"):
            if self._path(descriptor(call.words[0 if call.name == "sendfile" else 2])[1]) is not None:
                raise BadTrace(f"line {call.ended}: content that is not in the trace comes by {call.name}")
        else:
            self._rename(process, call)

    def _process(self, thread: int) -> _Process:
        if thread not in self._processes:
            parent, files, folder = self._parents.get(thread, (0, False, False))
            above = self._processes.get(parent)
            if above is None:
                self._processes[thread] = _Process(self._folder)
            elif files and folder:
                self._processes[thread] = above
            else:
                self._processes[thread] = _Process(above.folder, above.open if files else dict(above.open))
        return self._processes[thread]

    def _path(self, path: str) -> str | None:
        """A path below the root, relative to it; `None` for any other."""
        path = path.removesuffix(" (deleted)")
        if path == self.root:
            return ""
        return path[len(self.root) + 1 :] if path.startswith(f"{self.root}/") and not path.endswith("-shm") else None

    def _where(self, process: _Process, folder: str | None, word: str) -> str:
        base = process.folder if folder is None else descriptor(folder)[1] or process.folder
        return os.path.normpath(os.path.join(base, text(word).decode("utf-8", "surrogateescape")))  # noqa: PTH118

    def _at(self, path: str) -> Node | None:
        node: Node | None = self._now
        for name in path.split("/") if path else ():
            node = node.names.get(name) if node is not None else None
        return node

    def _above(self, path: str) -> tuple[Node, str]:
        above, _, name = path.rpartition("/")
        node = self._at(above)
        if node is None or not node.folder:
            raise BadTrace(f"{above!r} is no folder that is known")
        return node, name

    def _changed(self, call: Call, path: str, change: Change, *nodes: Node) -> None:
        self.changes.append(change)
        for node in nodes:
            self._pending.setdefault(id(node), []).append(change)

    def _open(self, process: _Process, call: Call) -> None:
        flags = next((word for word in call.words if "O_" in word), "")
        process.open.pop(call.result, None)
        path = self._path(call.opened)
        if path is None:
            return
        node = self._at(path)
        if node is None:
            above, name = self._above(path)
            node = above.names[name] = Node(False)
            self._name(call, path, ((above, name, node),))
        if not node.folder and ("O_TRUNC" in flags or call.name == "creat") and node.size:
            self._length(call, path, node, 0)
        process.open[call.result] = _Open(node, "O_APPEND" in flags)

    def _dup(self, process: _Process, call: Call) -> None:
        if call.name == "fcntl" and "F_DUPFD" not in call.words[1]:
            return
        process.open.pop(call.result, None)
        if opened := process.open.get(descriptor(call.words[0])[0]):
            process.open[call.result] = opened

    def _write(self, process: _Process, call: Call) -> None:
        number, full = descriptor(call.words[0])
        path = self._path(full)
        if path is None:
            return
        opened = process.open.get(number)
        if opened is None:
            raise BadTrace(f"line {call.ended}: {full} is written, and was not seen to be opened")
        data = (vector(call.words[1]) if call.name.endswith("v") else text(call.words[1]))[: call.result]
        if call.name.startswith("pw"):
            offset = int(call.words[3])
        else:
            offset = opened.node.size if opened.append else opened.position
            opened.position = offset + len(data)
        node = opened.node
        node.size = max(node.size, offset + len(data))
        change = Change(path, call.thread, call.begun, call.ended, node, offset, data)
        self._changed(call, path, change, node)

    def _resize(self, process: _Process, call: Call) -> None:
        if call.name == "truncate":
            path = self._path(self._where(process, None, call.words[0]))
            node = self._at(path) if path is not None else None
        else:
            number, full = descriptor(call.words[0])
            path = self._path(full)
            node = process.open[number].node if path is not None and number in process.open else None
        if path is None or node is None:
            return
        if call.name != "fallocate":
            length = int(call.words[1])
        elif call.words[1] == "0":
            length = max(node.size, int(call.words[2]) + int(call.words[3]))
        else:
            return  # room that is kept, and no content
        self._length(call, path, node, length)

    def _length(self, call: Call, path: str, node: Node, length: int) -> None:
        node.size = length
        self._changed(call, path, Change(path, call.thread, call.begun, call.ended, node, length=length), node)

    def _name(self, call: Call, path: str, names: tuple[tuple[Node, str, Node | None], ...]) -> None:
        # A move is safe once the folder it went to is synced; it is there wholly or not at all.
        into = [folder for folder, _, node in names if node is not None] or [folder for folder, _, _ in names]
        self._changed(call, path, Change(path, call.thread, call.begun, call.ended, names=names), *into)

    def _rename(self, process: _Process, call: Call) -> None:
        if call.name in _FOLDER_CALLS or call.name in _GONE_CALLS:
            folder, word = (_FOLDER_CALLS | _GONE_CALLS)[call.name]
            path = self._path(self._where(process, None if folder is None else call.words[folder], call.words[word]))
            if path:
                above, name = self._above(path)
                made = Node(True) if call.name in _FOLDER_CALLS else None
                self._set(above, name, made)
                self._name(call, path, ((above, name, made),))
        elif call.name in _MOVE_CALLS or call.name in _LINK_CALLS:
            self._move(process, call)

    def _move(self, process: _Process, call: Call) -> None:
        of, old, to, new = (_MOVE_CALLS | _LINK_CALLS)[call.name]
        source = self._path(self._where(process, None if of is None else call.words[of], call.words[old]))
        target = self._path(self._where(process, None if to is None else call.words[to], call.words[new]))
        if source is None and target is None:
            return
        if source is None or target is None or (node := self._at(source)) is None:
            raise BadTrace(f"line {call.ended}: a move of what is not known, {source} to {target}")
        above, name = self._above(target)
        if above.names.get(name) is node and call.name in _MOVE_CALLS:
            return  # two names of one file: rename(2) does nothing
        parts: list[tuple[Node, str, Node | None]] = []
        if call.name in _MOVE_CALLS:
            before, was = self._above(source)
            self._set(before, was, None)
            parts.append((before, was, None))
        self._set(above, name, node)
        self._name(call, target, (*parts, (above, name, node)))

    @staticmethod
    def _set(folder: Node, name: str, node: Node | None) -> None:
        if node is None:
            folder.names.pop(name, None)
        else:
            folder.names[name] = node

    def _sync(self, call: Call) -> None:
        path = self._path(descriptor(call.words[0])[1])
        process = self._process(call.thread)
        opened = process.open.get(descriptor(call.words[0])[0])
        node = opened.node if opened else self._at(path) if path is not None else None
        if path is None or node is None:
            return
        left = []
        for change in self._pending.pop(id(node), []):
            if change.ended < call.begun:
                change.durable = call.ended if change.durable is None else change.durable
            else:
                left.append(change)
        if left:
            self._pending[id(node)] = left

    # ── what a cut leaves ───────────────────────────────────────────────────────────────────────────────────────────

    def unsafe(self, line: int) -> list[Change]:
        """What has been begun by that line and is not safe then."""
        return [change for change in self.changes if change.begun <= line and not change.safe(line)]

    def state(self, line: int, keep: Callable[[Change], bool], zeros: bool = False) -> State:
        """The disk after a cut at that line: what is safe, and of the rest what `keep` says, its content or `zeros`."""
        contents: dict[int, bytearray] = {}
        names: dict[int, dict[str, Node]] = {}
        for change in self.changes:
            if change.begun > line:
                continue
            safe = change.safe(line)
            if not safe and not keep(change):
                continue
            if change.node is not None:
                content = contents.setdefault(id(change.node), bytearray(change.node.content))
                _put(content, change, blank=zeros and not safe)
            for folder, name, node in change.names:
                held = names.setdefault(id(folder), dict(folder.first))
                if node is None:
                    held.pop(name, None)
                else:
                    held[name] = node
        return dict(self._listed(self._now, "", contents, names))

    def _listed(
        self, folder: Node, path: str, contents: Mapping[int, bytearray], names: Mapping[int, dict[str, Node]]
    ) -> Iterator[tuple[str, bytes | None]]:
        for name, node in sorted(names.get(id(folder), folder.first).items()):
            here = f"{path}/{name}" if path else name
            if node.folder:
                yield here, None
                yield from self._listed(node, here, contents, names)
            else:
                yield here, bytes(contents[id(node)]) if id(node) in contents else node.content


def _put(content: bytearray, change: Change, blank: bool) -> None:
    if change.length is not None:
        del content[change.length :]
        content.extend(bytes(change.length - len(content)))
    elif change.data is not None:
        end = change.offset + len(change.data)
        content.extend(bytes(max(0, end - len(content))))
        content[change.offset : end] = bytes(len(change.data)) if blank else change.data
