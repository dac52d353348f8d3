"""Raw trees and commits of git, as far as the store itself reads them.

* A tree's names are UTF-8, of one part, and each comes once; `format_tree` of what `parse_tree` returns gives git's own
  bytes.

>>> parse_tree(format_tree({"a": (FILE_MODE, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")}))
{'a': (33188, 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391')}
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from taskrepo.errors import Invalid

FILE_MODE: Final = 0o100644
TREE_MODE: Final = 0o40000
Entry = tuple[int, str]
Tree = Mapping[str, Entry]


def find(tree: Callable[[str], Tree], root: str, path: str) -> Entry | None:
    """The entry at `path` below the tree `root`, where `tree` gives a tree's entries by its id."""
    entry: Entry | None = (TREE_MODE, root)
    for name in path.split("/"):
        if entry is None or entry[0] != TREE_MODE:
            return None
        entry = tree(entry[1]).get(name)
    return entry


def differing(
    tree: Callable[[str], Tree], old: str | None, new: str | None, prefix: str = ""
) -> Iterator[tuple[str, Entry | None, Entry | None]]:
    """The path of every file that differs below two trees, with its entry in each, in order of names.

    `None` is a tree with nothing in it, and the entry of a file that is not there.

    >>> list(differing({"t": {"a": (FILE_MODE, "00")}}.__getitem__, None, "t"))
    [('a', None, (33188, '00'))]
    """
    left, right = (tree(oid) if oid else {} for oid in (old, new))
    for name in sorted({*left, *right}):
        was, now = left.get(name), right.get(name)
        if was == now:
            continue
        folders = [e[1] if e and e[0] == TREE_MODE else None for e in (was, now)]
        files = [e if e and e[0] != TREE_MODE else None for e in (was, now)]
        if any(files):
            yield prefix + name, files[0], files[1]
        yield from differing(tree, folders[0], folders[1], f"{prefix}{name}/") if any(folders) else ()


def parse_tree(data: bytes) -> Tree:
    """The entries of a raw tree object. Raises `Invalid("bad-tree")` for names that are no names or come twice."""
    entries: dict[str, Entry] = {}
    position = 0
    try:
        while position < len(data):
            space = data.index(b" ", position)
            end = data.index(b"\x00", space)
            name = data[space + 1 : end].decode()
            if name in entries or not name or "/" in name or end + 21 > len(data):
                raise ValueError(name)
            entries[name] = int(data[position:space], 8), data[end + 1 : end + 21].hex()
            position = end + 21
    except ValueError:
        raise Invalid("bad-tree", "tree", "has a name that is no UTF-8 name or comes twice, or is cut short") from None
    return entries


def format_tree(entries: Tree) -> bytes:
    """The raw tree object, its entries in git's order: by name, folders as if they ended in a slash."""
    rows = sorted((_sort_key(name, mode), mode, oid) for name, (mode, oid) in entries.items())
    return b"".join(b"%o %s\x00%s" % (mode, name.rstrip(b"/"), bytes.fromhex(oid)) for name, mode, oid in rows)


def _sort_key(name: str, mode: int) -> bytes:
    return name.encode() + (b"/" if mode == TREE_MODE else b"")


def first_parent(raw: bytes) -> str | None:
    """The first parent a raw commit names."""
    start = raw.find(b"\nparent ", 0, 64)
    return raw[start + 8 : start + 48].decode("ascii", "replace") if start >= 0 else None
