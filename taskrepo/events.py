"""What happened: a decided command, with every fact that replaying it needs.

* An event is made by `decide` and by nothing else; `evolve` applies it without policy, clock or directory.
* Two events are equal exactly when they change the ledger in the same way, apart from the door they came through.

>>> from taskrepo.commands import Publish
>>> Event(Publish("4k7q2m9x"), "alice", 1763690000, "draft", "published").name
'published'
"""

from dataclasses import dataclass

from taskrepo.commands import Command, DirectoryCommand
from taskrepo.model import File, State


@dataclass(frozen=True, slots=True)
class Event:
    """One event, one commit. `at` is Unix seconds; `execution` the attempt it concerns; `lease_seconds` and
    `heartbeat_at` are facts fixed when it was decided."""

    command: Command | DirectoryCommand
    actor: str
    at: int
    source: State | None = None
    target: State | None = None
    execution: int | None = None
    lease_seconds: int | None = None
    heartbeat_at: int | None = None

    @property
    def name(self) -> str:
        """The past word: `claimed`."""
        return self.command.event

    @property
    def subject(self) -> str:
        """The id of the task, actor or record it changed."""
        return self.command.task if isinstance(self.command, Command) else self.command.about


@dataclass(frozen=True, slots=True)
class Content:
    """What an event wrote beside the record: its text (summary, comment, review's reason) and its files."""

    text: str = ""
    files: tuple[File, ...] = ()
