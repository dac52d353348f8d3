"""Ingest: one piece of context (a mail, a chat, notes of a meeting) becomes several tasks of whoever brings it.

* The same call again makes nothing twice: a task is known by its `external_id`, and one without it by what it says.
* Nothing is made unless every task could be. If the exchange dies under way, the same call again makes the rest.
* Every task is an event of its own, by the same rules as one that is created alone.

>>> manifests = parse.ingest({"origin": "email", "tasks": [{"title": "Call Bo"}]})      # doctest: +SKIP
>>> ingest(exchange, manifests, "alice", via="api").created[0].state                    # doctest: +SKIP
'published'
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from taskrepo import envelope, sealing
from taskrepo.errors import Invalid, Refused
from taskrepo.exchange import Exchange
from taskrepo.model import Door, Manifest, Task


@dataclass(frozen=True, slots=True)
class Ingested:
    """The tasks that were made, and those that were there already, each in the order of the call."""

    created: tuple[Task, ...]
    duplicates: tuple[Task, ...]


def ingest(exchange: Exchange, manifests: Sequence[Manifest], actor: str, *, via: Door) -> Ingested:
    """Make a published task of each manifest, unless the actor has one with its `external_id`.

    Raises what `Exchange.create` would of any of them, its message led by which one: `tasks[3]: …`.
    """
    _check(exchange, manifests, actor, via)
    created, duplicates = list[Task](), list[Task]()
    for manifest in manifests:
        try:
            created.append(exchange.create(manifest, (), actor, via=via).task)
        except Refused as refused:
            if refused.code != "duplicate-external-id":
                raise
            duplicates.append(exchange.view(exchange.directory.actors[actor]).task(refused.details["task"]))
    return Ingested(tuple(created), tuple(duplicates))


def _check(exchange: Exchange, manifests: Sequence[Manifest], actor: str, via: Door) -> None:
    """Raise what any of them would be refused for: without files, that hangs on the people it names and its length."""
    known = set[tuple[str, tuple[str, ...], bool]]()
    for number, manifest in enumerate(manifests):
        people = manifest.review, manifest.readers, manifest.private
        with _named(number):
            if people not in known:
                exchange.rehearse(replace(manifest, external_id=""), (), actor, via=via)
            if manifest.private:
                envelope.seal_manifest(manifest, sealing.new_key())
        known.add(people)


@contextmanager
def _named(number: int) -> Iterator[None]:
    """Have an error of the block say which task it is about."""
    try:
        yield
    except Invalid as error:
        message = error.message.removeprefix(f"{error.where}: ")
        raise Invalid(error.code, f"tasks[{number}].{error.where}", message, **error.details) from None
    except Refused as error:
        raise Refused(error.code, f"tasks[{number}]: {error.message}", **error.details) from None
