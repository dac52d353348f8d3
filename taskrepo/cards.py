"""Cards: a task in a few hundred bytes, kept in the listing index, so that lists need not read the ledger for each.

* A card is good for one folder's tree id, by which the ledger names all that is in a task. Any other, and whatever
  cannot be read, counts as none.
* It says what the ledger says: what is encrypted there is encrypted here. No command is decided by one.
* A page opens fifty, and so it holds the model's own fields as JSON, not their plain data: nothing in it is to be
  understood. Short ones are not compressed, since that would take most of the time.
* A task that would take more than `MOST` bytes has no card.

>>> load(dump("6b" * 20, task), "6b" * 20) == task                                      # doctest: +SKIP
True
"""

import json
import zlib
from collections.abc import Callable
from dataclasses import Field, fields, is_dataclass
from types import UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints

from taskrepo.model import Task

MOST: Final = 8 << 10
_LONG: Final = 2 << 10
_LEVEL: Final = 1
_FOLDER: Final = 20
_BEGIN: Final = b"{"
"""With which JSON begins, and what is compressed never does (RFC 1950)."""


def dump(folder: str, task: Task) -> bytes:
    """The card of a task whose folder has this tree id; empty if it has none."""
    text = json.dumps(_bare(task), separators=(",", ":")).encode()
    kept = text if len(text) < _LONG else zlib.compress(text, _LEVEL)
    return b"" if len(text) > MOST else bytes.fromhex(folder) + kept


def folder_of(card: bytes) -> str:
    """The tree id of the folder that a card was made for; empty for none."""
    return card[:_FOLDER].hex()


def load(card: bytes, folder: str) -> Task | None:
    """The task of a card, if it is of the folder with this tree id."""
    if len(card) > _FOLDER + MOST or folder_of(card) != folder:
        return None
    try:
        text = card[_FOLDER:]
        if not text.startswith(_BEGIN):
            text = zlib.decompressobj().decompress(text, MOST + 1)
        return _task(json.loads(text.decode()))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, zlib.error):
        return None


def _bare(value: Any) -> Any:
    """A value of the model as JSON has it, defaults left out."""
    if is_dataclass(value):
        named = ((field, getattr(value, field.name)) for field in _kept(type(value)))
        return {field.name: _bare(got) for field, got in named if got != field.default}
    return list(map(_bare, value)) if isinstance(value, tuple) else value


def _made(kind: type) -> Callable[[dict[str, Any]], Any]:
    """What makes one of a kind from that."""
    hints = get_type_hints(kind)
    nested = [(field.name, made) for field in _kept(kind) if (made := _read(hints[field.name])) is not None]

    def make(values: dict[str, Any]) -> Any:
        for name, read in nested:
            if name in values:
                values[name] = read(values[name])
        return kind(**values)

    return make


def _read(hint: Any) -> Callable[[Any], Any] | None:
    """What makes a value of this type from JSON; `None` where it is as it should be."""
    if get_origin(hint) is tuple:
        each = _read(get_args(hint)[0])
        return tuple if each is None else lambda values: tuple(map(each, values))
    if isinstance(hint, UnionType):  # None would be the default
        return _read(get_args(hint)[0])
    return _made(hint) if isinstance(hint, type) and is_dataclass(hint) else None


def _kept(kind: type) -> list[Field[Any]]:
    """The fields that make what it is; others only go with it."""
    return [field for field in fields(kind) if field.compare]


_task: Final[Callable[[dict[str, Any]], Task]] = _made(Task)
