"""The lobby: who waits for the ledger to move, and who of them is called when it does.

* One thread looks at each new event once, for all who wait; while nobody waits it sleeps.
* Who listens is called for events that their filter wants and that they may know of; what is hidden calls nobody.
* Who seeks work is called for a task that they could claim, one for each task at a time, longest waiting first: when
  one did not take it, or is gone, the next is called.
* Calling is a hint: who is called looks again, and perhaps comes back, knowing which commit they looked at.

>>> leave = lobby.listen(bob, seen, parse_filter("event:approved"), wake)               # doctest: +SKIP
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from threading import Condition, Thread
from typing import Final

from taskrepo.directory import EXCHANGE_ACTOR
from taskrepo.errors import TaskrepoError
from taskrepo.eventfilter import Filter
from taskrepo.exchange import Exchange
from taskrepo.ledger import Happening
from taskrepo.model import Actor, Task
from taskrepo.news import GLANCE
from taskrepo.query import MAX_LIMIT, Query
from taskrepo.view import View

Wake = Callable[[], None]
Fits = Callable[[View, Task], bool]
"""Whether who sees a task through this view could claim it."""

MOST: Final = 500
"""Events looked at in one go; who waits while more than that happen is called to look for themselves."""
_log: Final = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Waiter:
    actor: Actor
    since: str
    wake: Wake
    wanted: Filter | None = None
    fits: Fits | None = None
    key: object = None
    called: bool = False

    def call(self) -> None:
        self.called = True
        self.wake()


@dataclass(slots=True)
class _Opening:
    """A task that came free: whom it was offered to, and who has been called for it just now."""

    tried: set[object] = field(default_factory=set)
    called: _Waiter | None = None


class Lobby:
    """Safe to use from many threads; `wake` functions are called by its own, and must not wait."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._changed = Condition()
        self._waiting: dict[_Waiter, None] = {}
        self._arrived: list[_Waiter] = []
        self._openings: dict[str, _Opening] = {}
        self._stirred = False
        self._closed = False
        self._known = ""
        self._thread: Thread | None = None
        exchange.news.heard.append(self._stir)
        exchange.at_close(self.close)

    def listen(self, actor: Actor, since: str, wanted: Filter, wake: Wake) -> Callable[[], None]:
        """Call `wake` for an event after the commit `since`; gives what ends that."""
        return self._enter(_Waiter(actor, since, wake, wanted=wanted))

    def seek(self, actor: Actor, since: str, fits: Fits, key: object, wake: Wake) -> Callable[[], None]:
        """Call `wake` for a task that came free after `since`. By `key` who comes back is known as the same."""
        return self._enter(_Waiter(actor, since, wake, fits=fits, key=key))

    def close(self) -> None:
        """Call everybody, and nobody from then on."""
        with self._changed:
            self._closed = True
            waiting = [*self._waiting, *self._arrived]
            self._changed.notify_all()
        for waiter in waiting:
            waiter.call()
        if self._thread is not None:
            self._thread.join()

    @property
    def closed(self) -> bool:
        """Whether nobody waits any more."""
        return self._closed

    def present(self, actor: str) -> int:
        """How many requests of an actor are known to wait, and have not been called."""
        return sum(waiter.actor.id == actor for waiter in self._present())

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        with self._changed:
            return len(self._waiting) + len(self._arrived)

    def _enter(self, waiter: _Waiter) -> Callable[[], None]:
        with self._changed:
            if self._closed:
                waiter.call()
                return lambda: None
            if self._thread is None:
                self._thread = Thread(target=self._run, name="lobby", daemon=True)
                self._thread.start()
            self._arrived.append(waiter)
            self._changed.notify_all()
        return partial(self._leave, waiter)

    def _leave(self, waiter: _Waiter) -> None:
        with self._changed:
            self._waiting.pop(waiter, None)
            if waiter in self._arrived:
                self._arrived.remove(waiter)
            if waiter.called and waiter.fits:  # perhaps without what they were called for
                self._stirred = True
                self._changed.notify_all()

    def _stir(self) -> None:
        with self._changed:
            self._stirred = True
            self._changed.notify_all()

    # ── the thread ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        while self._rest():
            try:
                self._turn()
            except Exception:
                _log.exception("the lobby could not look at what is new; all who wait look for themselves")
                self._known = ""
                for waiter in self._present():
                    waiter.call()
                time.sleep(GLANCE)

    def _rest(self) -> bool:
        """Sleep until something may have happened; whether to go on."""
        with self._changed:
            # Other processes write without a word to this one.
            self._changed.wait_for(
                lambda: self._arrived or self._closed or (self._stirred and self._waiting),
                GLANCE if self._waiting else None,
            )
            self._stirred = False
            return not self._closed

    def _present(self) -> list[_Waiter]:
        """Those who wait and have not been called, longest first."""
        with self._changed:
            return [waiter for waiter in self._waiting if not waiter.called]

    def _turn(self) -> None:
        view, present = self._exchange.view(EXCHANGE_ACTOR), self._present()
        with self._changed:
            arrived, self._arrived = self._arrived, []
            self._waiting.update(dict.fromkeys(arrived))
        between = cache(lambda since: _happened(view, since))
        if self._known not in ("", view.commit):
            for event in between(self._known) or ():
                for task in self._opened_by(event):
                    self._openings.pop(task, None)  # who had tried for it may try again
            self._tell(view, present, between(self._known))
        self._known = view.commit
        for waiter in arrived:
            self._tell(view, [waiter], between(waiter.since) if waiter.since != view.commit else [])
        self._offer(view)
        with self._changed:
            if not self._waiting:
                self._openings.clear()
                self._known = ""

    def _tell(self, view: View, waiters: list[_Waiter], events: list[Happening] | None) -> None:
        """Call who wants to hear of one of these events, and note the tasks that came free by them."""
        if events is None:
            for waiter in waiters:
                waiter.call()
            return
        for event in events:
            then = cache(partial(view.task_then, event))
            for waiter in waiters:
                if waiter.wanted and not waiter.called and view.of(waiter.actor).wants(event, waiter.wanted, then):
                    waiter.call()
            for waiter in waiters if event.entry.record else ():
                # Another profile or policy may let somebody have what has been there all along.
                if waiter.fits and not waiter.called and event.entry.subject in (waiter.actor.id, "policy"):
                    waiter.call()
            for task in self._opened_by(event):
                self._openings.setdefault(task, _Opening())

    def _opened_by(self, event: Happening) -> tuple[str, ...]:
        """The ids of tasks that an event may have made free to claim: its own, or what waited for that."""
        entry = event.entry
        if entry.task is None or entry.command == "comment":
            return ()
        if entry.target == "published":
            return (entry.task,)
        if entry.target != "approved" or entry.source == "approved":
            return ()
        view, unseen = self._exchange.view(EXCHANGE_ACTOR), sorted(self._exchange.follower.unseen())
        fresh = (task.id for task in view.tasks(unseen) if entry.task in task.manifest.blocked_by)
        waiting = Query(f"blocker:{entry.task}", ("published",))
        return (*fresh, *self._exchange.search(waiting, MAX_LIMIT, reader=EXCHANGE_ACTOR, at_once=True).ids)

    def _offer(self, view: View) -> None:
        """Call one more for each task that is free and for which nobody is on the way."""
        seekers = [waiter for waiter in self._present() if waiter.fits]
        with self._changed:
            under_way = {waiter for waiter in self._waiting if waiter.called}
        for task, opening in list(self._openings.items()):
            if opening.called in under_way:
                continue
            found = view.get(task)
            next_one = self._next(view, found, opening, seekers) if found and found.state == "published" else None
            if next_one is None:
                del self._openings[task]
                continue
            opening.called = next_one
            opening.tried.add(next_one.key)
            seekers.remove(next_one)
            next_one.call()

    def _next(self, view: View, task: Task, opening: _Opening, seekers: list[_Waiter]) -> _Waiter | None:
        for waiter in seekers:
            if waiter.key not in opening.tried and waiter.fits:
                own = view.of(waiter.actor)
                if own.sees(task.id) and waiter.fits(own, task):
                    return waiter
        return None


def _happened(view: View, since: str) -> list[Happening] | None:
    """The events after a commit, or `None` if there are too many to look at, or no such commit."""
    try:
        events, more = view.after(since, MOST)
    except TaskrepoError:
        return None
    return None if more else events
