"""The exchange: every door's way in, and the only writer of the ledger.

* A command is decided by the rule book against the newest state, under the writer's turn, and is durable when
  `execute` returns. If it raises, nothing was changed.
* A repeated request (same actor, same request id) gets the first one's answer, from the ledger itself, also after a
  crash; the same id on another request is refused.
* Content waits in staging until its command is decided; it enters the ledger with the event, or not at all.

>>> with Exchange(Config(Path("data/exchange"))) as exchange:                           # doctest: +SKIP
...     exchange.execute(Claim("4k7q2m9x"), "bob", via="api").task.state
'claimed'
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from taskrepo import fulltext, history, identity, lifecycle
from taskrepo import policy as limits
from taskrepo.accounts import Accounts
from taskrepo.auditor import Auditor
from taskrepo.clock import Clock
from taskrepo.commands import Claim, Command, Create, DirectoryCommand, Expire, SetPolicy
from taskrepo.config import Config
from taskrepo.directory import EXCHANGE_ACTOR, Directory
from taskrepo.errors import Invalid, Refused
from taskrepo.files import LfsStore, Staging, occupied, remove_abandoned
from taskrepo.follower import Follower
from taskrepo.heartbeats import Heartbeats
from taskrepo.holdings import Hold, Holdings
from taskrepo.index import Index
from taskrepo.judge import Judge, Outcome, Request
from taskrepo.largefiles import LargeFiles
from taskrepo.leases import Leases
from taskrepo.ledger import Ledger, Snapshot
from taskrepo.lfs_locks import Locks
from taskrepo.model import EXCHANGE, Actor, Door, File, Manifest, Policy, Task
from taskrepo.news import News
from taskrepo.pastboard import Boards
from taskrepo.personal_board import PersonalBoards
from taskrepo.preferences import Preferences
from taskrepo.privacy import Privacy, Sealing
from taskrepo.pushes import Pushes
from taskrepo.query import EVERYTHING, Page, Query
from taskrepo.quota import Quota
from taskrepo.readiness import Readiness
from taskrepo.recalling import Recalling
from taskrepo.recent import Recent
from taskrepo.reminded import Reminded
from taskrepo.retention import Retention
from taskrepo.shelves import Shelves
from taskrepo.signing import Signer
from taskrepo.store import Store
from taskrepo.subscriptions import Subscriptions
from taskrepo.trends import Trends
from taskrepo.upkeep import Upkeep
from taskrepo.uploads import Uploads
from taskrepo.usage import Usage
from taskrepo.vault import Vault
from taskrepo.view import View
from taskrepo.vitals import Vitals
from taskrepo.writer import Draft, Writer

_CLAIMED_FOR: Final = 60
_MANY: Final = 16
_ENDED_AT_ONCE: Final = 256


class Exchange:
    """An open exchange. Safe to use from many threads; several processes may open the same data folder."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        """Open it. Raises `Invalid("no-exchange")` if there is none."""
        if not config.exists:
            raise Invalid("no-exchange", str(config.data), "holds no exchange; `taskrepo init` makes one")
        self.config = config
        self.store = Store(config.repository)
        self.ledger = Ledger(self.store)
        self.staging = Staging(_own_folder(config.staging))
        self.uploads = Uploads(config.uploads, self.staging)
        self.lfs = LfsStore(config.lfs)
        self.clock = clock or Clock(config.clock)
        self.heartbeats = Heartbeats(config.heartbeats)
        self.privacy = Privacy(self.ledger, Vault(config.vault), self.staging)
        self.boards = Boards(self.ledger)
        self._texts = fulltext.known()
        self._retention = Retention(self.ledger, self.staging, self.lfs)
        self.large = LargeFiles(self.lfs, self.uploads, self._retention)
        self._closing = ExitStack()
        self._closing.callback(self.store.close)
        self._closing.callback(self._leave_staging)
        self._closing.callback(self.uploads.close)
        try:
            self._closing.enter_context(occupied(self.staging.folder))
            self._quota = Quota(self.ledger, self._closing.enter_context(Usage(config.private)))
            self.accounts = self._closing.enter_context(Accounts(config.private))
            self.preferences = self._closing.enter_context(Preferences(config.private))
            self.reminded = self._closing.enter_context(Reminded(config.private))
            self.locks = self._closing.enter_context(Locks(config.private))
            self.webhooks = self._closing.enter_context(Subscriptions(config.private, self.privacy.vault.key))
            self.auditor = self._closing.enter_context(Auditor(config.repository, config.private / "verified.json"))
            self._index = self._closing.enter_context(Index(config.index))
            self._writer = self._closing.enter_context(
                Writer(self.ledger, Signer.load(config.signing_key), config.writer_lock, self.clock)
            )
            self.follower = self._closing.enter_context(Follower(self.ledger, self._index, self._opened, config.data))
        except BaseException:
            self._closing.close()
            raise
        self._begin()

    def _begin(self) -> None:
        """What rests on the parts that are open."""
        self.news = News(self.store.head)
        self._closing.callback(self.news.close)
        self._recalling, self.shelves = Recalling(self._index, self.follower.changed), Shelves(self._index)
        # By actor, everybody's under the empty id: median seconds of work, and until when (monotonic) that is good.
        self.paces: Recent[tuple[float, float | None]] = Recent(10_000)
        self.trends = Trends(self.ledger)
        self._closing.callback(self.trends.close)
        self.upkeep = Upkeep(self.config, self.follower, self.privacy.vault, self.sweep)
        self._closing.callback(self.upkeep.close)
        self.readiness = Readiness(self.config, self._writer, self.follower, self.auditor)
        self._open_doors()

    def _open_doors(self) -> None:
        """Make what decides."""
        self.holdings = Holdings(self.ledger, self._index)
        self.leases = Leases(self.holdings, self.heartbeats, self.clock)
        self.vitals = Vitals(
            self.config, self._writer, self._index, self.follower, self.holdings, self.webhooks, self.upkeep
        )
        self._judge = Judge(
            self.ledger, self.staging, self._retention, self._quota, self.heartbeats, self.holdings, self.privacy
        )
        self.pushes = Pushes(
            self.ledger, self._writer, self._judge, self.privacy, self._quota, self.staging, self.uploads, self._settle
        )
        self._writer.published += [
            self._quota.published, self.holdings.published, self.follower.nudge, self.news.published,
        ]  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Answer what was accepted, then release everything."""
        self._closing.close()

    def at_close(self, end: Callable[[], object]) -> None:
        """Have `end` called when the exchange is closed, before it releases anything."""
        self._closing.callback(end)

    def at_publish(self, told: Callable[[str], None]) -> None:
        """Have `told` called with the commit whenever this process has moved `main`."""
        self._writer.published.append(told)

    def _leave_staging(self) -> None:
        with suppress(OSError):  # uploads still held keep it; the next sweep of any process removes it
            self.staging.folder.rmdir()

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def snapshot(self, commit: str | None = None) -> Snapshot:
        """The exchange as of now, or as of a commit."""
        return self.ledger.snapshot(commit)

    def view(self, reader: Actor, commit: str | None = None) -> View:
        """The exchange as `reader` may see it, now or as of a commit."""
        return View(self.ledger, self.ledger.snapshot(commit, self._recalling), reader, self.lfs, self.privacy)

    @cached_property
    def personal(self) -> PersonalBoards:
        """Everybody's personal queue; most exchanges are never asked for one. Raises `Invalid("bad-personal")`."""
        boards = PersonalBoards(
            self.ledger, self.privacy, self.config.private, self.reminded, self.search, self._caught_up
        )
        return self._closing.enter_context(boards)

    @property
    def directory(self) -> Directory:
        """All actors and the policy as of now, which everybody may know."""
        return self.ledger.snapshot().directory

    def search(
        self, query: Query, limit: int, cursor: str | None = None, *, reader: Actor, at_once: bool = False
    ) -> Page:
        """One page of the matching tasks that `reader` may know of.

        Their own last write is always among them, unless it is to be `at_once`: `follower.unseen` then tells the rest.
        """
        self.follower.wait_for("" if at_once else reader.id)
        return self._index.search(replace(query, reader=_listing_for(reader)), limit, cursor)

    def first(self, query: Query, limit: int, *, reader: Actor, at_once: bool = False) -> Page:
        """The first page of `search`, without a cursor to a next one."""
        self.follower.wait_for("" if at_once else reader.id)
        return self._index.first(replace(query, reader=_listing_for(reader)), limit)

    def suggestions(self, query: Query, found: int = 0, cursor: str | None = None, *, reader: Actor) -> tuple[str, ...]:
        """What to search for instead of a `q` that finds nothing: it would find a task that `reader` may know of.

        None where so many tasks were `found`, or where somebody goes on from a `cursor`. Raises `Invalid("bad-query")`.
        """
        if found or cursor:
            return ()
        self.follower.wait_for(reader.id)
        return self._index.suggestions(replace(query, reader=_listing_for(reader)))

    def _caught_up(self) -> str | None:
        """The commit that listings show, once they have caught up with the ledger or cannot for now."""
        self.follower.catch_up()
        return self._index.stamp

    def counts(self, reader: Actor) -> dict[str, int]:
        """How many tasks that `reader` may know of are in each state."""
        self.follower.wait_for("")
        return self._index.counts(_listing_for(reader))

    def tally(self, query: Query, *, reader: Actor) -> dict[str, int]:
        """How many of the matching tasks that `reader` may know of are in each state."""
        self.follower.wait_for(reader.id)
        return self._index.tally(replace(query, reader=_listing_for(reader)))

    def renewed(self, task: Task) -> Task:
        """The task with its executor's latest sign of life taken into account."""
        return self.heartbeats.renewed(task, self.clock.now())

    @property
    def crowd(self) -> int:
        """How many commands were decided together the last time."""
        return self._writer.crowd

    def claims_left(self, actor: Actor) -> int | None:
        """How many more tasks the actor may claim now; `None` for any number."""
        return limits.claims_left(self.directory.policy, actor, self.holdings.in_hand(actor.id))

    def why_not(self, view: View, task: Task) -> tuple[str, ...]:
        """Why the view's reader may not claim the task, if it is published: every reason, or none."""
        if task.state != "published":
            return ()
        reader, policy = view.reader, view.policy
        burden = limits.overburdened(policy, reader, self.holdings.in_hand(reader.id))
        return (*lifecycle.eligibility(task, reader, policy), *view.blockers(task).reasons, *burden)

    def _opened(self, snapshot: Snapshot, task: Task) -> tuple[Task, str]:
        """A task as its readers see it, and the text by which they find it."""
        opened = self.privacy.opened(task)
        view = View(self.ledger, snapshot, EXCHANGE_ACTOR, self.lfs, self.privacy)
        return opened, fulltext.text_of(view, opened, self._texts)

    def _destroy(self, task: str) -> None:
        """Destroy what is left of an erased task's content; doing it again is harmless."""
        snapshot = self.snapshot()
        for sha256 in self.privacy.large_files(snapshot, snapshot.task(task)):
            self.lfs.drop(sha256)
        self.personal.kept.forget(task)
        self.follower.catch_up()
        self.privacy.vault.destroy(task)  # last: as long as it is there, the next sweep finishes what a crash left

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def execute(
        self, command: Command, actor: str, *, via: Door, request_id: str | None = None, if_match: str | None = None
    ) -> Outcome:
        """Decide `command` for `actor` and make it durable.

        `request_id` makes it repeatable, `if_match` (a commit id) conditional. Raises `Refused` or `Invalid`.
        """
        request = _request(actor, via, request_id, if_match)
        snapshot = self.snapshot()
        held = snapshot.get(identity.check_id(command.task))
        if getattr(command, "files", ()):
            self._quota.prepare(self._writer)
        if isinstance(command, Claim):
            self._judge.prepare()
        prospect = self._judge.foresee(snapshot, command, actor, self.clock.now())
        author = snapshot.directory.actors.get(actor) if prospect.taken else None
        with self.privacy.sealing(command, held, author) as sealing:
            outcome = self._writer.submit(
                lambda draft: self._judge.execute(draft, command, request, sealing, prospect)
            )
        self._settle(outcome, actor)
        return outcome

    def claim_first(
        self, tasks: tuple[str, ...], most: int, actor: str, *, via: Door, request_id: str | None = None
    ) -> tuple[Outcome, ...]:
        """Claim the first `most` of these tasks that the rules let the actor have, in one write; perhaps none.

        Raises `Refused` if they let the actor have none for a reason that is not a task's.
        """
        request, snapshot = _request(actor, via, request_id), self.snapshot()
        author, commands = snapshot.directory.actors.get(actor), [Claim(identity.check_id(task)) for task in tasks]
        self._judge.prepare()
        with ExitStack() as held:
            asked: list[tuple[Command, Sealing | None]] = []
            for number, command in enumerate(commands):
                # Those that the turn most likely comes to are read before it; of the others only what is private.
                likely = number < most + self.crowd or not snapshot.is_public(command.task)
                before = snapshot.get(command.task) if likely else None
                with suppress(Refused):  # whose key is not here
                    asked.append((command, held.enter_context(self.privacy.sealing(command, before, author))))
            won = self._writer.submit(lambda draft: self._judge.first(draft, asked, most, request))
        for outcome in won:
            self._settle(outcome, actor)
        return won

    def create(
        self,
        manifest: Manifest,
        files: tuple[File, ...],
        actor: str,
        *,
        via: Door,
        draft: bool = False,
        request_id: str | None = None,
    ) -> Outcome:
        """Create a task under a new id. A repeated `request_id` or `external_id` finds the first one."""
        request = _request(actor, via, request_id)
        if files:
            self._quota.prepare(self._writer)
        snapshot, made = self.snapshot(), Create("", manifest, files, draft)
        prospect = self._judge.foresee(snapshot, made, actor, self.clock.now())
        author = snapshot.directory.actors.get(actor) if prospect.taken else None
        with self.privacy.sealing(made, None, author) as sealing:
            outcome = self._writer.submit(
                lambda state: self._judge.create(state, manifest, files, draft, request, sealing, prospect)
            )
        self._settle(outcome, actor)
        return outcome

    def rehearse(self, manifest: Manifest, files: tuple[File, ...], actor: str, *, via: Door) -> None:
        """Raise what `create` would as things stand, and write nothing; what is asked later is judged anew."""
        if files:
            self._quota.prepare(self._writer)
        self._writer.submit(lambda draft: self._judge.rehearse(draft, manifest, files, Request(actor, via)))

    def govern(self, command: DirectoryCommand, actor: str, *, via: Door, request_id: str | None = None) -> str:
        """Decide a change of the directory or the policy and make it durable; returns its commit."""
        request = _request(actor, via, request_id)
        return self._writer.submit(lambda draft: self._judge.govern(draft, command, request))

    def amend_policy(self, change: Callable[[Policy], Policy], actor: str, *, via: Door) -> str:
        """Change the policy from what it is when the change's turn comes; returns the commit."""

        def judge(draft: Draft) -> str:
            command = SetPolicy("policy", change(draft.snapshot.policy))
            return self._judge.govern(draft, command, Request(actor, via))

        return self._writer.submit(judge)

    def heartbeat(self, task: str, execution: int, actor: str) -> Task:
        """Renew the lease without an event. Raises `Refused` as `progress` would."""
        snapshot = self.snapshot()
        held = snapshot.task(task)
        author, now = snapshot.actor(actor), self.clock.now(held.updated.at)  # never dated before the claim
        renewed = lifecycle.beat(self.renewed(held), execution, author, now, snapshot.policy)
        self.heartbeats.beat(task, execution, now)
        if self.heartbeats.is_ending(task, execution):
            self._writer.submit(lambda draft: None)  # what was being decided is known when this had its turn
        last = self.snapshot().task(task)
        if last.lease is None or last.execution is None or last.execution.number != execution:
            self.heartbeats.forget(task, execution)  # it ended in between; nobody else would
            lifecycle.beat(last, execution, author, now, snapshot.policy)
        return renewed

    def expire_due(self) -> int:
        """End executions whose lease has run out, a few seconds' work at most; returns how many.

        Once it returns 0, there are no more for now. The first call counts as a start.
        """
        self.follower.start()  # which a large ledger's holdings begin with
        floor, due = self.leases.look(), self.leases.due(_ENDED_AT_ONCE)

        def expired(hold: Hold) -> bool:
            if self.leases.look() != floor:
                return False  # nobody could be heard meanwhile
            try:
                with self.heartbeats.ending(hold.task, hold.execution):
                    self.execute(Expire(hold.task), EXCHANGE, via="exchange")
            except Refused:
                return False  # somebody was quicker: the task is no longer held, or its lease was renewed
            return True

        if len(due) < _MANY:
            return sum(map(expired, due))
        with ThreadPoolExecutor(_MANY) as together:  # so that the writer takes many at a time
            return sum(together.map(expired, due))

    def look_ahead(self, now: int, most: int) -> None:
        """So much of what nobody should have to wait for: the old history, the board, a due verification."""
        self.ledger.feed.read_back(most)
        self.boards.read_ahead(most)
        self.auditor.attend(now)

    def sweep(self, now: int) -> None:
        """Remove what no longer serves: old uploads, large content nothing refers to, sessions and links."""
        old = now - self.directory.policy.upload_seconds
        self.uploads.sweep(old)
        remove_abandoned(self.config.staging, old)
        self.store.sweep_incoming(old)
        self.accounts.sweep(now)
        self.locks.sweep(now)
        self.privacy.vault.sweep()
        self.leases.sweep(self.snapshot)
        for task in self.privacy.unfinished(self.snapshot()):
            self._destroy(task.id)
        self._retention.sweep(self._writer, now - _CLAIMED_FOR)  # last: it waits for a turn, which others may hold up

    def _settle(self, outcome: Outcome, actor: str) -> None:
        """What follows a durable outcome outside the ledger.

        If the content of an erased task cannot be destroyed this raises: asked again it is tried again, as by a sweep.
        """
        self._retention.settle(outcome.brought)
        self.follower.wrote(actor, outcome.commit)
        if outcome.task.erased_at is not None:
            self._destroy(outcome.task.id)
        last = outcome.task.execution
        # An answer given again is of a task as it was; its execution may be at work now.
        if last is not None and outcome.task.lease is None and not outcome.replayed:
            with suppress(OSError):  # a sign of life that stays means nothing, and goes with the next sweep
                self.heartbeats.forget(outcome.task.id, last.number)


def _request(actor: str, via: Door, request_id: str | None, if_match: str | None = None) -> Request:
    """The request, its id checked. Raises `Invalid("bad-request-id")`."""
    return Request(actor, via, None if request_id is None else history.check_request_id(request_id), if_match)


def _listing_for(reader: Actor) -> str:
    """Whose tasks a listing is of: an actor's, or all, as `roles.may_read` has it."""
    return EVERYTHING if reader.is_admin or reader.id == EXCHANGE else reader.id


def _own_folder(staging: Path) -> Path:
    """A folder of this process's own: what it holds, no other process releases."""
    return staging / f"{os.getpid()}-{os.urandom(4).hex()}"
