"""Where task commands are given from the command line: a server far away, or the data folder itself.

* Both kinds of desk take the same calls and give the same JSON, so that a command cannot tell them apart.
* What goes wrong is raised as `Refused` or `Invalid`, the same through both, or as `Unreachable`.

>>> desk.command("claim", "4k7q2m9x", {})["task"]["state"]                              # doctest: +SKIP
'claimed'
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

from taskrepo.errors import TaskrepoError
from taskrepo.folders import Package, Readable, Upload
from taskrepo.formats import ArchiveKind

Json = dict[str, Any]
KeyAction = Literal["add", "rename", "retire", "revoke"]


class Unreachable(TaskrepoError):
    """The server could not be reached, or what answered is no exchange."""

    def __init__(self, message: str) -> None:
        super().__init__("unreachable", message)


def wish(labels: Sequence[str]) -> dict[str, str]:
    """What to claim if it is to have all these labels: `label`, and `q` for the others."""
    others = " ".join(f'label:"{label}"' for label in labels[1:])
    return {name: value for name, value in (("label", next(iter(labels), "")), ("q", others)) if value}


class Desk(Protocol):
    """The calls of a task command. Each may raise `Refused`, `Invalid` or `Unreachable`."""

    def me(self) -> Json:
        """The caller, with workload and figures."""
        ...

    def listing(self, query: Mapping[str, str]) -> Json:
        """One page of tasks: `{"tasks": […], "next": cursor, "total": how many match, "suggestions": queries}`."""
        ...

    def task(self, task: str) -> Json:
        """Everything about a task, by its id or the beginning of it."""
        ...

    def events(self, task: str) -> Json:
        """Its history: `{"events": […]}`, oldest first."""
        ...

    def feed(self, query: Mapping[str, str]) -> Json:
        """The exchange's events: `{"events": […], "next": commit}`; `query` has `after limit wait filter`."""
        ...

    def versions(self, task: str) -> Json:
        """The versions of its package, newest first: `{"task": id, "current": number, "versions": […]}`."""
        ...

    def version(self, task: str, number: int) -> Json:
        """One version, with its manifest and files."""
        ...

    def compare(self, task: str, old: int, new: int) -> Json:
        """What changed between two versions: `{"old": …, "new": …, "manifest": […], "files": […]}`."""
        ...

    def queue(self) -> Json:
        """The caller's ranked work."""
        ...

    def reminders(self) -> Json:
        """What the caller wants to be reminded of by now, oldest first."""
        ...

    def reminded(self, task: str, at: str) -> Json:
        """Acknowledge the reminder of that moment."""
        ...

    def create(self, package: Package, *, draft: bool = False, request_id: str | None = None) -> Json:
        """Create a task; answers as every command does."""
        ...

    def create_from(
        self, archive: Upload, kind: ArchiveKind, *, draft: bool = False, request_id: str | None = None
    ) -> Json:
        """Create a task from an archive of a package; answers as every command does."""
        ...

    def ingest(self, context: Json) -> Json:
        """Make tasks of a piece of context: `{"created": […], "duplicates": […]}`."""
        ...

    def command(
        self,
        name: str,
        task: str,
        body: Json,
        uploads: Sequence[Upload] = (),
        *,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Json:
        """Give a command: `{"task": …, "commit": …, "next_actions": […]}`."""
        ...

    def claim_next(self, *, request_id: str | None = None, wait: int = 0, labels: Sequence[str] = ()) -> Json:
        """Claim the best eligible task that has all the labels, waiting at most `wait` seconds for one.

        Raises `Refused("nothing-to-claim")`.
        """
        ...

    def interrupt(self) -> None:
        """Let whoever waits for a claim wait no longer."""
        ...

    def heartbeat(self, task: str, execution: int) -> Json:
        """Renew the lease: `{"lease": …}`."""
        ...

    def public_keys(self, actor: str) -> Json:
        """An actor's SSH public keys, live and ended, oldest first: `{"public_keys": […]}`."""
        ...

    def change_key(self, action: KeyAction, actor: str, fingerprint: str, body: Json) -> Json:
        """Change a key of an actor's: `{"actor": …, "commit": …}`. One to add has no fingerprint yet."""
        ...

    def content(self, task: str, folder: str, path: str) -> AbstractContextManager[Readable]:
        """A file's content. `folder` is empty for the package, or `submissions/1`, `versions/2`, `discussion/0001`."""
        ...

    def archive(self, task: str, place: str, kind: ArchiveKind) -> AbstractContextManager[Readable]:
        """An archive of the package, or of the place in the task that is named, as `submissions/1` or `versions/2`."""
        ...
