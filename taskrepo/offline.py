"""A desk at the data folder itself: the same calls and answers as the HTTP API gives, without a server.

* Every command goes through `Exchange`, as through any other door, and is recorded as given on the command line.
* Whoever can read the data folder is trusted to say who he is; the rules are the same for him as for everybody, and
  he sees what that actor may see.
* Files are staged until their command is decided and given back either way.

>>> with open_desk(Config(Path("data/exchange")), "bob") as desk:                       # doctest: +SKIP
...     desk.command("claim", "4k7q2m9x", {})["task"]["state"]
'claimed'
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any, Final, cast, get_args

from taskrepo import editions, guard, parse
from taskrepo.archives import ArchiveKind, read_archive
from taskrepo.bundles import package_bundle, submission_bundle
from taskrepo.commands import DirectoryCommand
from taskrepo.config import Config
from taskrepo.desk import Json, KeyAction, wish
from taskrepo.documents import load_yaml
from taskrepo.errors import Invalid, Refused
from taskrepo.eventfilter import parse_filter
from taskrepo.exchange import Exchange
from taskrepo.folders import Chunks, Package, Readable, Upload
from taskrepo.ingest import ingest
from taskrepo.judge import Outcome
from taskrepo.model import Actor, File, FileKind, Task, iso
from taskrepo.plain import seconds
from taskrepo.query import MAX_LIMIT, Query, Sort
from taskrepo.revocation import revocation
from taskrepo.view import View
from taskrepo.web import present, versions

_LISTING: Final = ("q", "publisher", "assignee", "reviewer", "label")
_KINDS: Final[Mapping[str, FileKind]] = {"submit": "submission_artifact", "revise": "task_attachment"}


@contextmanager
def open_desk(config: Config, actor: str) -> Iterator["OfflineDesk"]:
    """A desk for `actor`. Raises `Invalid("no-exchange")`, `Refused("unknown-actor" | "actor-suspended")`."""
    with Exchange(config) as exchange:
        yield OfflineDesk(exchange, actor)


class OfflineDesk:
    """A desk over an open exchange, for one actor."""

    def __init__(self, exchange: Exchange, actor: str) -> None:
        self._exchange, self._actor = exchange, actor
        if not self._caller().active:
            raise Refused("actor-suspended", f"{actor} has been suspended by an admin")

    def me(self) -> Json:
        """The caller, with workload and figures."""
        from taskrepo.statistics import MAX_TASKS, WORK, measured, workload

        exchange = self._exchange
        caller = self._caller()
        query = Query(assignee=caller.id, states=WORK, sort="priority")
        found = exchange.search(query, MAX_TASKS, reader=caller)
        held = [present.brief(task) for task in self._view().tasks(found.ids)]
        return {
            "actor": present.actor(caller),
            "workload": {"counts": workload(exchange, caller.id, caller), "held": held},
            "figures": asdict(measured(exchange, caller.id, caller)),
            "key": None,
        }

    def listing(self, query: Mapping[str, str]) -> Json:
        """One page of tasks."""
        limit = _number(query.get("limit", "50"), "limit", MAX_LIMIT)
        wanted, cursor, caller = _query(query), query.get("cursor"), self._caller()
        page = self._exchange.search(wanted, limit, cursor, reader=caller)
        meant = self._exchange.suggestions(wanted, page.total, cursor, reader=caller)
        return present.listing(self._view().tasks(page.ids), page, meant)

    def task(self, task: str) -> Json:
        """Everything about a task."""
        view = self._view()
        found = self._exchange.renewed(view.task(view.resolve(task)))
        deliveries = (view.delivery(found, made.number) for made in found.submissions)
        reasons = self._exchange.why_not(view, found)
        return {
            **present.detail(found, deliveries, view.discussion(found)),
            "commit": view.last(found.id),
            "next_actions": present.next_actions(found, view, int(time.time()), reasons),
            "why_not": list(reasons),
            "waits_for": present.waits_for(found, view),
        }

    def events(self, task: str) -> Json:
        """Its history, oldest first."""
        view = self._view()
        happenings = [*view.chain(view.resolve(task))]
        return {"events": [present.event(happening) for happening in reversed(happenings)]}

    def feed(self, query: Mapping[str, str]) -> Json:
        """One page of the exchange's events, waited for as long as is asked."""
        wanted, after = parse_filter(query.get("filter", "")), query.get("after")
        limit = _number(query.get("limit", "100"), "limit", 500)
        if after is None:
            return {"events": [present.event(event) for event in self._view().latest(limit, wanted)], "next": None}
        end = time.monotonic() + int(query.get("wait", "0"))
        while True:
            view = self._view()
            events, following = view.after(after, limit, wanted)
            if events or following or (left := end - time.monotonic()) <= 0:
                return {"events": [present.event(event) for event in events], "next": following}
            self._exchange.news.wait(view.commit, left)

    def versions(self, task: str) -> Json:
        """The versions of its package, newest first."""
        view, found = self._found(task)
        return versions.listing(view, found, limit=found.version)

    def version(self, task: str, number: int) -> Json:
        """One version of the package."""
        return versions.detail(*self._found(task), number)

    def compare(self, task: str, old: int, new: int) -> Json:
        """What changed between two versions."""
        return versions.comparison(*self._found(task), old, new)

    def queue(self) -> Json:
        """The caller's ranked work."""
        from taskrepo.worklist import worklist

        caller = self._caller()
        lists = worklist(self._exchange, caller, int(time.time()))
        return present.queue(lists, self._exchange.counts(caller), self._exchange.directory.actors)

    def reminders(self) -> Json:
        """What the caller wants to be reminded of by now."""
        from taskrepo.reminders import due

        now = int(time.time())
        found = [present.reminder(each) for each in due(self._exchange, self._caller(), now)]
        return {"now": iso(now), "reminders": found, "total": len(found)}

    def reminded(self, task: str, at: str) -> Json:
        """Acknowledge the reminder of that moment."""
        from taskrepo.reminders import sent

        now, view = int(time.time()), self._view()
        moment = sent(self._exchange, view.reader, view.resolve(task), now, seconds(at, "at"))
        return {"task": task, "at": iso(moment), "sent_at": iso(now)}

    def create(self, package: Package, *, draft: bool = False, request_id: str | None = None) -> Json:
        """Create a task from a package."""
        manifest = parse.manifest(load_yaml(package.manifest, "manifest"))
        guard.check_package_paths((upload.path for upload in package.uploads), "file")
        with self._staged(package.uploads, "task_attachment") as files:
            made = self._exchange.create(
                manifest, files, self._actor, via="cli", draft=draft, request_id=request_id
            )
        return self._answer(made)

    def create_from(
        self, archive: Upload, kind: ArchiveKind, *, draft: bool = False, request_id: str | None = None
    ) -> Json:
        """Create a task from an archive."""
        staging, policy = self._exchange.staging, self._exchange.directory.policy
        with archive.open() as stream:
            package = read_archive(stream, kind, staging, policy)
        try:
            manifest = parse.manifest(load_yaml(package.manifest, "manifest"))
            made = self._exchange.create(
                manifest, package.files, self._actor, via="cli", draft=draft, request_id=request_id
            )
        finally:
            staging.release(*(file.sha256 for file in package.files))
        return self._answer(made)

    def ingest(self, context: Json) -> Json:
        """Make tasks of a piece of context."""
        made = ingest(self._exchange, parse.ingest(context), self._actor, via="cli")
        return {name: [present.full(task) for task in getattr(made, name)] for name in ("created", "duplicates")}

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
        """Give a command."""
        found = self._view().resolve(task)
        with self._staged(uploads, _KINDS.get(name, "event_file")) as files:
            command = parse.task_command(name, found, body, files)
            outcome = self._exchange.execute(
                command, self._actor, via="cli", request_id=request_id, if_match=if_match
            )
        return self._answer(outcome)

    def claim_next(self, *, request_id: str | None = None, wait: int = 0, labels: Sequence[str] = ()) -> Json:
        """Claim the best eligible task that has all the labels; nothing is waited for."""
        from taskrepo.claiming import Wish, claim

        asked = wish(labels)
        wanted = Wish(label=asked.get("label", ""), q=asked.get("q", ""))
        return self._answer(claim(self._exchange, self._caller(), wanted, via="cli", request_id=request_id)[0])

    def interrupt(self) -> None:
        """Nobody waits here."""

    def heartbeat(self, task: str, execution: int) -> Json:
        """Renew the lease."""
        found = self._view().resolve(task)
        held = self._exchange.heartbeat(found, execution, self._actor)
        return {"lease": present.lease(held.lease)}

    def public_keys(self, actor: str) -> Json:
        """An actor's SSH public keys."""
        return {"public_keys": [present.public_key(key) for key in self._view().actor(actor).keys]}

    def change_key(self, action: KeyAction, actor: str, fingerprint: str, body: Json) -> Json:
        """Change a key of an actor's."""
        command = self._key_command(action, actor, fingerprint, body)
        commit = self._exchange.govern(command, self._actor, via="cli")
        return {"actor": present.actor(self._view().actor(actor)), "commit": commit}

    def _key_command(self, action: KeyAction, actor: str, fingerprint: str, body: Json) -> DirectoryCommand:
        if action == "add":
            return parse.add_key(actor, body)
        if action == "rename":
            return parse.rename_key(actor, fingerprint, body)
        if action == "revoke":
            return revocation(self._view(), actor, fingerprint, body)
        return parse.retire_key(actor, {"fingerprint": fingerprint})

    @contextmanager
    def content(self, task: str, folder: str, path: str) -> Iterator[Readable]:
        """A file's content as a stream."""
        view, found = self._found(task)
        if folder.startswith("versions/"):
            view, found = editions.edition(view, found, int(folder.partition("/")[2]))
            folder = ""
        file = next((f for f in _files(view, found, folder) if f.path == path), None)
        if file is None:
            raise Refused("unknown-file", f"{found.id} has no file {path[:200]}")
        with closing(view.open(found, f"{folder}/" if folder else "", file)) as stream:
            yield stream

    @contextmanager
    def archive(self, task: str, place: str, kind: ArchiveKind) -> Iterator[Readable]:
        """An archive as a stream."""
        view, found = self._found(task)
        what, _, number = place.partition("/")
        if what == "submissions":
            bundle = submission_bundle(view, found, int(number))
        else:
            bundle = package_bundle(*(editions.edition(view, found, int(number)) if what else (view, found)))
        with closing(Chunks(bundle.chunks(kind))) as stream:
            yield stream

    def _found(self, task: str) -> tuple[View, Task]:
        view = self._view()
        return view, view.task(view.resolve(task))

    def _caller(self) -> Actor:
        found = self._exchange.directory.actors.get(self._actor)
        if found is None:
            raise Refused("unknown-actor", f"no actor has the id {self._actor[:40]}")
        return found

    def _view(self) -> View:
        return self._exchange.view(self._caller())

    def _answer(self, outcome: Outcome) -> Json:
        return present.answer(outcome.task, outcome.commit, self._view(), int(time.time()))

    @contextmanager
    def _staged(self, uploads: Sequence[Upload], kind: FileKind) -> Iterator[tuple[File, ...]]:
        staging, limit = self._exchange.staging, self._exchange.directory.policy.max_file_bytes
        files: list[File] = []
        try:
            for upload in uploads:
                with upload.open() as stream:
                    name = upload.path.rpartition("/")[2]
                    files.append(staging.receive(stream, path=upload.path, name=name, kind=kind, limit=limit))
            yield tuple(files)
        finally:
            staging.release(*(file.sha256 for file in files))


def _files(view: View, task: Task, folder: str) -> tuple[File, ...]:
    kind, _, number = folder.partition("/")
    if kind == "submissions":
        return view.delivery(task, int(number)).files
    return view.remark(task, int(number)).content.files if kind == "discussion" else task.files


def _query(given: Mapping[str, str]) -> Query:
    """The listing's filters as a query. Raises `Invalid("bad-query")`."""
    sort = given.get("sort", "-updated")
    if sort not in get_args(Sort):
        raise Invalid("bad-query", "sort", f"is one of {', '.join(get_args(Sort))}")
    priority = _number(given["priority"], "priority", 5) if "priority" in given else None
    states = tuple(filter(None, given.get("state", "").split(",")))
    words: dict[str, Any] = {name: given.get(name, "") for name in _LISTING}
    return Query(**words, states=states, priority=priority, sort=cast(Sort, sort))


def _number(text: str, where: str, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise Invalid("bad-query", where, f"is a whole number from 1 to {most}")
    return int(text)
