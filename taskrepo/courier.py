"""The courier: takes the events of the ledger to those who asked for them, one after another, until they have them.

* Of all processes that serve one data folder, the one that holds a lock delivers; when it ends, another one does.
* To each webhook events go in the ledger's order, one at a time: the next only when the one before was taken.
* What a receiver has taken is on disk before the next event goes to it. A process killed in between sends that one
  again, under the same id, so a receiver gets every event at least once.
* Its owner gets what they may read at the time of sending, and nothing while they are suspended.
* Webhooks do not wait for each other: each delivery has a thread, of which one actor has `EACH` at most, and receivers
  that were slow the last time together `SLOW` of the `PLACES`.

>>> with Exchange(config) as exchange, Courier(exchange, shown, source=base):           # doctest: +SKIP
...     serve(make_app(exchange), "127.0.0.1", 8753)
"""

import logging
import math
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Any, Final, Self

from filelock import FileLock, Timeout

from taskrepo import dispatch
from taskrepo.dispatch import Schedule
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.eventfilter import parse_filter
from taskrepo.exchange import Exchange
from taskrepo.ledger import Happening
from taskrepo.model import iso
from taskrepo.outbound import Answer, Outbound
from taskrepo.subscriptions import Attempt, Subscription
from taskrepo.view import View

log = logging.getLogger(__name__)

PLACES: Final = 32
SLOW: Final = 16
EACH: Final = 8
GLANCE: Final = 0.5
"""Seconds between two looks at what other processes did."""
_SLOW_SECONDS: Final = 2.0
_STRETCH: Final = 1.0  # how long one webhook is served before another one's turn
_GRACE: Final = 2.0  # for what is on its way when the program ends, before it is cut off
_ENDING: Final = 12.0
_REST: Final = 5.0
_UNWRITTEN: Final = 100  # commits that are passed over until that is written down
_HEADERS: Final = {"Content-Type": dispatch.MEDIA_TYPE, "User-Agent": "taskrepo"}

Shown = Callable[[View, Happening], dict[str, Any]]


@dataclass(slots=True)
class _Place:
    """How far a webhook has come in this process: all up to `commit` was delivered or is not for it."""

    turn: int
    commit: str
    passed: int = 0
    slow: bool = False
    served: float = 0.0
    resting: float = 0.0  # after a fault of our own


@dataclass(frozen=True, slots=True)
class _Message:
    ident: str
    kind: str
    subject: str
    body: bytes


class Courier:
    """The threads that deliver, while the block is entered."""

    def __init__(
        self, exchange: Exchange, shown: Shown, *, source: str = "", schedule: Schedule | None = None,
        outbound: Outbound | None = None,
    ) -> None:  # fmt: skip
        """`shown` makes the data of an event's message; `source` is the exchange's address, as far as is known."""
        self._exchange, self._kept, self._shown = exchange, exchange.webhooks, shown
        self._source = f"{source.rstrip('/')}/api/v1/events"
        self._schedule = schedule or Schedule()
        self._outbound = outbound or Outbound(exchange.webhooks.networks)
        self._lock = FileLock(exchange.config.private / "courier.lock", timeout=0, mode=0o600)
        self._bell = Condition()
        self._rung = self._stopping = False
        self._soonest = math.inf  # when the next attempt is due, if it is soon
        self._places: dict[str, _Place] = {}
        self._busy: dict[str, tuple[Thread, str]] = {}  # by webhook: its delivery, and whose it is
        self._thread = Thread(target=self._run, name="courier", daemon=True)

    def __enter__(self) -> Self:
        self._exchange.at_publish(lambda commit: self.nudge())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._bell:
            self._stopping = self._rung = True
            self._bell.notify_all()
            self._bell.wait_for(lambda: not self._busy, _GRACE)
        self._outbound.close()
        self._thread.join()

    def nudge(self) -> None:
        """There is something new."""
        with self._bell:
            self._rung = True
            self._bell.notify_all()

    # ── one thread sees who is next ─────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        while not self._stopping:
            self._soonest = math.inf
            try:
                if self._leads():
                    self._turn()
            except Exception:
                log.exception("a round of deliveries failed; the next one comes")
            with self._bell:
                self._bell.wait_for(lambda: self._rung, max(0.0, min(GLANCE, self._soonest - time.time())))
                self._rung = False
        end = time.monotonic() + _ENDING
        with self._bell:
            going = [thread for thread, _ in self._busy.values()]
        for thread in going:
            thread.join(max(0.0, end - time.monotonic()))
        self._lock.release()

    def _leads(self) -> bool:
        if not self._lock.is_locked:
            try:
                self._lock.acquire()
            except Timeout:
                return False
            self._places.clear()  # another process may have moved them meanwhile
        return True

    def _turn(self) -> None:
        asking = self._kept.asking()
        hooks = {hook.id: hook for hook in self._kept.due()}
        with self._bell:
            for gone in self._places.keys() - hooks.keys():
                del self._places[gone]
        head, now, actors = self._exchange.snapshot().commit, time.time(), self._exchange.directory.actors
        standing = {hook.id for hook in hooks.values() if (owner := actors.get(hook.actor)) and owner.active}
        self._soonest = min((h.retry_at for h in hooks.values() if h.retry_at and h.retry_at > now), default=math.inf)
        due = [h for h in hooks.values() if h.id in standing and self._is_due(h, h.id in asking, head, now)]
        for hook in sorted(due, key=lambda each: self._place(each).served):
            with self._bell:
                if self._has_room(hook) and not self._stopping:
                    thread = Thread(target=self._serve, args=(hook.id,), name=f"webhook-{hook.id}", daemon=True)
                    thread.start()
                    self._busy[hook.id] = (thread, hook.actor)

    def _is_due(self, hook: Subscription, asked: bool, head: str, now: float) -> bool:
        place = self._place(hook)
        if hook.id in self._busy or time.monotonic() < place.resting:
            return False
        return asked or (hook.live and not _waits(hook, now) and place.commit != head)

    def _place(self, hook: Subscription) -> _Place:
        with self._bell:
            place = self._places.get(hook.id)
            if place is None or place.turn < hook.turn:
                place = self._places[hook.id] = _Place(hook.turn, hook.cursor)
            return place

    def _has_room(self, hook: Subscription) -> bool:
        of_actors = Counter(actor for _, actor in self._busy.values())
        slow = sum(self._places[each].slow for each in self._busy if each in self._places)
        fits = len(self._busy) < PLACES and of_actors[hook.actor] < EACH
        return fits and not (self._place(hook).slow and slow >= SLOW)

    # ── many threads deliver ────────────────────────────────────────────────────────────────────────────────────────

    def _serve(self, ident: str) -> None:
        """Deliver to one webhook what there is, until that goes wrong or it is others' turn."""
        end = time.monotonic() + _STRETCH
        try:
            while not self._stopping and self._step(ident) and time.monotonic() < end:
                pass
        except Exception:
            log.exception("a delivery to the webhook %s broke off", ident)
            with self._bell:
                if ident in self._places:
                    self._places[ident].resting = time.monotonic() + _REST
        finally:
            with self._bell:
                del self._busy[ident]
                if ident in self._places:
                    self._places[ident].served = time.monotonic()
            self.nudge()

    def _step(self, ident: str) -> bool:
        """Deliver one message; whether there may be another one to deliver now."""
        hook = self._kept.find(ident)
        owner = self._exchange.directory.actors.get(hook.actor) if hook else None
        if hook is None or owner is None or not owner.active:
            return False
        view = self._exchange.view(owner)
        asked = self._kept.asked(ident)
        if asked is not None:
            return self._send_asked(hook, view, *asked)
        return hook.live and not _waits(hook, time.time()) and self._send_next(hook, view)

    def _send_asked(self, hook: Subscription, view: View, number: int, event: str) -> bool:
        message = self._ping(hook) if not event else None
        if message is None:
            try:
                message = self._message(view, view.event(event))
            except TaskrepoError as error:  # which its owner could read when they asked for it
                message = _Message(event, "", "", b"")
                self._kept.answered(hook.id, number, self._attempt(message, 1, Answer(None, error.message)))
                return True
        answer = self._sent(hook, message)
        if not (self._stopping and not answer.ok):
            self._kept.answered(hook.id, number, self._attempt(message, 1, answer))
        return not self._stopping

    def _send_next(self, hook: Subscription, view: View) -> bool:
        place = self._place(hook)
        try:
            event = self._next(hook, view, place)
        except (Refused, Invalid) as error:
            self._kept.disable(hook, f"It cannot go on: {error.message}", int(time.time()))
            return False
        if event is None:
            return False
        message = self._message(view, event)
        answer = self._sent(hook, message)
        attempt = self._attempt(message, hook.failures + 1, answer)
        if answer.ok:
            self._kept.delivered(hook, attempt)
            place.commit, place.passed = event.id, 0
            return True
        if not self._stopping:  # the end of this program is no fault of the receiver
            self._put_off(hook, attempt, answer)
        return False

    def _next(self, hook: Subscription, view: View, place: _Place) -> Happening | None:
        """The first event after `place` that is for the webhook, which moves up to what comes before it."""
        wanted = parse_filter(hook.filter)
        for commit, _ in view.following(place.commit):
            if commit:
                event = view.event(commit)
                if view.wants(event, wanted):
                    return event
            place.passed += 1
        place.commit = view.commit
        if place.passed >= _UNWRITTEN:
            self._kept.passed(hook, place.commit)
            place.passed = 0
        return None

    def _sent(self, hook: Subscription, message: _Message) -> Answer:
        now = int(time.time())
        signed = dispatch.headers(message.ident, now, message.body, self._kept.secrets(hook.id, now))
        answer = self._outbound.post(hook.url, message.body, {**_HEADERS, **signed})
        self._place(hook).slow = answer.seconds >= _SLOW_SECONDS
        return answer

    def _put_off(self, hook: Subscription, attempt: Attempt, answer: Answer) -> None:
        now = attempt.at
        pause = self._schedule.pause(attempt.attempt, random.random(), dispatch.retry_after(answer.retry_after, now))
        since = hook.failing_since if hook.failing_since is not None else now
        given_up = ""
        if answer.status == 410:
            given_up = "The receiver answered 410 Gone: it wants no more events."
        elif self._schedule.is_over(attempt.attempt, now - since):
            last = f"answered {answer.status}" if answer.status else answer.said
            given_up = (
                f"No event could be delivered since {iso(since)}. The last of {attempt.attempt} attempts: {last}."
            )
        self._kept.failed(hook, attempt, time.time() + pause, given_up)

    # ── messages ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _message(self, view: View, event: Happening) -> _Message:
        entry = event.entry
        kind, subject = dispatch.type_of(entry.event, entry.task), entry.subject
        at = iso(event.commit.author.at)
        data = self._shown(view, event)
        return _Message(event.id, kind, subject, dispatch.envelope(event.id, self._source, kind, subject, at, data))

    def _ping(self, hook: Subscription) -> _Message:
        ident = f"ping_{secrets.token_hex(8)}"
        data = {"webhook": hook.id, "description": hook.description, "filter": hook.filter}
        at = iso(int(time.time()))
        return _Message(
            ident, dispatch.PING, hook.id, dispatch.envelope(ident, self._source, dispatch.PING, hook.id, at, data)
        )

    def _attempt(self, message: _Message, number: int, answer: Answer) -> Attempt:
        now, taken = int(time.time()), int(answer.seconds * 1000)
        said = answer.said[:200]
        return Attempt(0, message.ident, message.kind, message.subject, number, now, answer.status, said, taken)


def _waits(hook: Subscription, now: float) -> bool:
    """Whether its next attempt is still to come."""
    # A clock that was set back must not keep anybody waiting for longer than a pause can be.
    return hook.retry_at is not None and now < hook.retry_at <= now + 2 * dispatch.MAX_PAUSE
