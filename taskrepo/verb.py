"""What a command of the command line is, as data.

* `handler` is `module:function` in this package, imported only when the command is given.
* Its arguments are kept as argparse takes them.

>>> Verb("claim", "Do work", "take a task", "taskrepo claim --next", "remote:claim").kind
'task'
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Kind = Literal["task", "exchange", "plain", "clone"]


class Argument(NamedTuple):
    """One argument as argparse takes it."""

    names: tuple[str, ...]
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verb:
    """A command: `name` may have two words; `group` is the heading it is listed under."""

    name: str
    group: str
    help: str
    example: str
    handler: str
    arguments: tuple[Argument, ...] = ()
    kind: Kind = "task"
    notes: str = ""


def arg(*names: str, **settings: Any) -> Argument:
    """An argument, as `ArgumentParser.add_argument` takes it."""
    return Argument(names, settings)
