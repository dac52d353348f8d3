"""One consistent view of the index, and how it answers a plan.

* A `Snapshot` never changes: it is one commit of the state part and the text part that was there with it.
* A condition becomes one bit mask per segment, kept with the segment; conditions combine by integer arithmetic, so a
  query costs little more than the page it returns. Nothing is ranked or grouped over all documents.
* Orders are kept per segment too; a page merges them from the cursor on and stops when it is full.
* Text is found in its own part and joined by task id; what the state part does not know is not shown.
* Relevance depends on the task's own text alone (see `relevance`), so that a cursor in it stays good while other tasks
  change.
* Nothing an answer says depends on what its reader may not know of: a beginning stands for too many words only if that
  many are in live tasks of theirs, whatever else the query says and however the index is cut into segments.

>>> snapshot.page(plan(Query("gold state:published")), 50, None).ids
('4k7q2m9x',)
"""

import hashlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from heapq import heapify, heappop, merge
from itertools import chain, islice
from operator import or_
from typing import Any, Final, TypeVar

import numpy as np

from taskrepo.bitmasks import docs_in, flags_of, is_few, mask_of
from taskrepo.errors import Invalid
from taskrepo.leaves import Leaf, Numbering
from taskrepo.model import STATES, Row
from taskrepo.query import (
    NEVER,
    Clause,
    Fact,
    IdPrefix,
    Key,
    Page,
    Phrase,
    Plan,
    Term,
    Within,
    title_key,
    write_cursor,
)
from taskrepo.recent import Recent
from taskrepo.relevance import Kept, Numbers, Points, Words, added, best, present

_NUMBERS: Final = ("priority", "due", "created", "updated", "seq")
WORDS: Final = "worth"  # the field that has every word of title and body
_RARE: Final = 8  # what more than one document in so many has is found soon in the order of all
_SMALL: Final = 16  # documents of a segment of which it is read at once what facts there are
_KEPT_ORDERS: Final = 8  # of what is rare, as much as so many orders of all take; twice over
MAX_EXPANSION: Final = 1000
MAX_ENDINGS: Final = 64
_L = TypeVar("_L", bound=Leaf)


def state_row(row: Row) -> tuple[Any, ...]:
    """What a state document stores: id, the numbers in the order of `_NUMBERS`, the key of the title."""
    due = NEVER if row.due_at is None else row.due_at
    numbers = (row.priority, due, row.created_at, row.updated_at, row.seq)
    # Beyond 63 bits neither the arrays nor the cursors could hold them.
    return (row.id, *(max(-NEVER, min(NEVER, number)) for number in numbers), title_key(row.title))


def text_digest(row: Row) -> bytes:
    """What a text document stores beside the id: whether title or text have changed shows in it."""
    text = f"{len(row.title)}:{row.title}{row.text}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


class Columns(Leaf):
    """A state segment: its numbers as arrays, and the orders asked of it so far."""

    def keep(self, rows: list[tuple[Any, ...]]) -> None:
        """Keep the numbers; titles are read again when first sorted by."""
        self._numbers = {name: array("q", (row[n] for row in rows)) for n, name in enumerate(_NUMBERS, 1)}
        self._orders: dict[str, Sequence[int]] = {}
        self._ordered: Recent[Sequence[int]] = Recent(_KEPT_ORDERS * (_RARE + self.size))
        self._newest: tuple[Numbers, Numbers] | None = None
        self._titles: list[str] | None = None
        self._facts: dict[str, tuple[int, int]] | None = None

    def holds(self, term: Fact | Within | IdPrefix) -> int:
        """The documents for which the condition holds."""
        match term:
            case Fact(any_of):
                return reduce(or_, map(self.stating, any_of))
            case Within():
                return self.cached(term, lambda: mask_of(self._within(term), self.size))
            case IdPrefix(prefix):
                return mask_of(self._beginning_id(prefix), self.size)

    def stating(self, fact: str) -> int:
        """The documents of which this is a fact."""
        if self.size > _SMALL:
            return self.having("facts", fact)
        if self._facts is None:  # most are of one document, or of none
            self._facts = {known: (first, last) for known, first, last in self.beginning("facts", "")}
        if fact not in self._facts:
            return 0
        first, last = self._facts[fact]
        return 1 << first if first == last else self.having("facts", fact)

    def all_of(self, clauses: Iterable[Clause]) -> int:
        """The documents for which every clause holds; none of them is about text."""
        holding = (1 << self.size) - 1
        for clause in clauses:
            assert not isinstance(clause.term, Phrase)
            holds = self.holds(clause.term)
            holding &= ~holds if clause.negated else holds
        return holding

    def planned(self, plan: Plan) -> int:
        """The documents for which those of the plan's clauses hold that are not about text."""
        return self.cached(plan.digest, lambda: self.all_of(plan.plain))

    def ordered(self, plan: Plan) -> Sequence[int] | None:
        """The same in the plan's order, which queues ask for again and again; `None` where it is not worth keeping."""
        planned = self.planned(plan)
        if planned.bit_count() * _RARE > self.size:
            return None
        known = self._ordered.get(plan.digest)
        if known is None:
            known = array("I", sorted(docs_in(planned), key=self._key(plan.sort)))
            self._ordered.put(plan.digest, known, _RARE + len(known))
        return known

    def walk(self, sort: str, mask: int, after: Key | None, order: Sequence[int] | None = None) -> Iterator[Key]:
        """The sort keys of the masked documents that come after `after`, ascending; by an `order` that has them all."""
        key = self._key(sort)
        if order is None and is_few(mask, self.size):
            return _ascending([k for k in map(key, docs_in(mask)) if after is None or k > after])
        order = self.order(sort) if order is None else order
        start = bisect_right(order, after, key=key) if after else 0
        flags = flags_of(mask, self.size)
        return (key(doc) for doc in islice(order, start, None) if flags[doc >> 3] >> (doc & 7) & 1)

    def order(self, sort: str) -> Sequence[int]:
        """The documents in the order of a sort."""
        return self._order(sort, self._key(sort))

    def newest(self) -> tuple[Numbers, Numbers]:
        """The documents in the order of what changed last, and the place of each in it."""
        if self._newest is None:
            order = np.asarray(self.order("-updated"), np.uint32)
            places = np.empty(self.size, np.uint32)
            places[order] = np.arange(self.size, dtype=np.uint32)
            self._newest = order, places
        return self._newest

    def latest(self, doc: int) -> tuple[int, int, str]:
        """The key of a document in the order of what changed last."""
        return -self._numbers["updated"][doc], -self._numbers["seq"][doc], self.ids[doc]

    def _within(self, term: Within) -> Sequence[int]:
        # Each number is what comes first in the sort of its name, so those between two lie together.
        order, numbers = self.order(term.number), self._numbers[term.number]
        first, last = (bisect_left(order, bound, key=numbers.__getitem__) for bound in (term.low, term.high))
        return order[first:last]

    def _beginning_id(self, prefix: str) -> Sequence[int]:
        order = self._order("id", self.ids.__getitem__)
        first = bisect_left(order, prefix, key=self.ids.__getitem__)
        return order[first : bisect_left(order, f"{prefix}\x7f", key=self.ids.__getitem__)]

    def _order(self, sort: str, key: Callable[[int], Any]) -> Sequence[int]:
        # Two threads may make it twice; they make the same.
        if sort not in self._orders:
            self._orders[sort] = array("I", sorted(range(self.size), key=key))
        return self._orders[sort]

    def _key(self, sort: str) -> Callable[[int], Key]:
        ids = self.ids
        priority, due, created, updated, seq = self._numbers.values()
        match sort:
            case "updated":
                return lambda doc: (updated[doc], seq[doc], ids[doc])
            case "created":
                return lambda doc: (created[doc], ids[doc])
            case "-created":
                return lambda doc: (-created[doc], ids[doc])
            case "priority":
                return lambda doc: (priority[doc], due[doc], created[doc], ids[doc])
            case "due":
                return lambda doc: (due[doc], ids[doc])
            case "title":
                titles = self._title_keys()
                return lambda doc: (titles[doc], ids[doc])
        return self.latest

    def _title_keys(self) -> list[str]:
        if self._titles is None:
            self._titles = [row[-1] for row in self.each_row()]
        return self._titles


class Texts(Leaf):
    """A text segment: what stands in the titles and bodies of its tasks, and a digest of each."""

    def keep(self, rows: list[tuple[Any, ...]]) -> None:
        """Keep the digests, by document number."""
        self.digests: list[bytes] = [row[1] for row in rows]

    def saying(self, phrase: Phrase) -> int:
        """The documents in whose title or body the phrase stands. `endings` are given if the beginning has many."""
        key = (phrase.tokens, phrase.prefix, phrase.endings)
        return self.cached(key, lambda: self._saying(phrase))

    def width(self, prefix: str) -> int:
        """How many words begin so in title and body, deleted documents included, or more than `MAX_EXPANSION`."""
        return self.cached(("width", prefix), lambda: sum(1 for _ in islice(self.words(prefix), MAX_EXPANSION + 1)))

    def words(self, prefix: str) -> Iterator[str]:
        """The words of titles and bodies that begin so."""
        return (word for word, _, _ in self.beginning(WORDS, prefix))

    def holders(self, prefix: str) -> Iterator[tuple[str, Sequence[int]]]:
        """The words that begin so, in title or body, each with its documents there, deleted ones included."""
        for word, first, last in self.beginning(WORDS, prefix):
            yield word, (first,) if first == last else self.holding(WORDS, word).tolist()

    def points(self, word: str) -> Points:
        """What a word adds to the relevance of each document that has it."""
        return self.weighed(WORDS, word)

    def _saying(self, phrase: Phrase) -> int:
        choices = [*([token] for token in phrase.tokens[:-1]), self._endings(phrase)]
        found = (1 << self.size) - 1
        for choice in choices:
            found &= self.having(WORDS, choice[0]) if len(choice) == 1 else self.having_any(WORDS, choice)
        if len(choices) == 1 or not found:
            return found
        return self._in_a_row("title", choices, found) | self._in_a_row("body", choices, found)

    def _endings(self, phrase: Phrase) -> Sequence[str]:
        if not phrase.prefix:
            return phrase.tokens[-1:]
        return phrase.endings if phrase.endings is not None else [*self.words(phrase.tokens[-1])]

    def _in_a_row(self, field: str, choices: Sequence[Sequence[str]], wanted: int) -> int:
        starts: dict[int, set[int]] = {}
        for offset, choice in enumerate(choices):
            here: dict[int, set[int]] = {}
            for doc, places in chain.from_iterable(self.places(field, token, wanted).items() for token in choice):
                here.setdefault(doc, set()).update(place - offset for place in places)
            starts = {doc: seen & starts[doc] for doc, seen in here.items() if doc in starts} if offset else here
            starts = {doc: at for doc, at in starts.items() if at}
            wanted &= mask_of(starts, self.size)
        return wanted


Masked = tuple[Columns, int]
Known = Sequence[tuple[Mapping[str, int], bytes]]


class Snapshot:
    """The index at one commit: pairs of a leaf and the mask of its live documents.

    `key` names the commit: folder, state generation, text generation. `users` counts who reads it.
    """

    def __init__(
        self,
        key: tuple[str, int, int] | None,
        stamp: str | None,
        columns: Sequence[tuple[Columns, int]] = (),
        texts: Sequence[tuple[Texts, int]] = (),
        words: Words | None = None,
    ) -> None:
        self.key, self.stamp = key, stamp
        self.columns, self.texts = columns, texts
        self._words = words or Words("", (), Numbering(), Kept())
        self.users = 1
        self._endings: dict[tuple[str, tuple[Clause, ...]], tuple[str, ...] | None] = {}

    def close(self) -> None:
        """Let go of the leaves."""
        for leaf, _ in chain[tuple[Leaf, int]](self.columns, self.texts):
            leaf.close()

    def let_go(self) -> None:
        """Let the system have back the memory that the leaves' files were read through."""
        for leaf, _ in chain[tuple[Leaf, int]](self.columns, self.texts):
            leaf.let_go()

    def page(self, plan: Plan, limit: int, after: Key | None, *, onward: bool = True) -> Page:
        """The first `limit` tasks of the plan after the key, with the cursor of the next if anybody goes `onward`.

        Raises `Invalid` for too wide a prefix.
        """
        matched = self.planned(plan)
        walk = self._by_relevance(plan) if plan.sort == "relevance" else partial(_walk, plan)
        walks = [walk(leaf, mask=mask, after=after) for leaf, mask in matched if mask]
        keys = list(islice(merge(*walks), limit + 1))
        following = write_cursor(plan, keys[limit - 1]) if onward and len(keys) > limit else None
        return Page(tuple(str(key[-1]) for key in keys[:limit]), following, total(matched))

    def planned(self, plan: Plan) -> list[Masked]:
        """Which tasks the plan finds. Raises as `page` does."""
        # Before anything is matched: whether a query is refused must not hang on what its other words find.
        said = [self._settled(clause, plan.readable) for clause in plan.said]
        return [(leaf, self._planned(leaf, live, plan, said)) for leaf, live in self.columns]

    def holding(self, clauses: Sequence[Clause]) -> list[Masked]:
        """The live tasks for which all the clauses hold; none of them is about the beginning of a word."""
        return [(leaf, self._matching(leaf, live, clauses)) for leaf, live in self.columns]

    def _by_relevance(self, plan: Plan) -> Callable[..., Iterator[Key]]:
        phrases = [clause.term for clause in plan.said if isinstance(clause.term, Phrase) and not clause.negated]
        words = tuple(dict.fromkeys(token for phrase in phrases for token in phrase.tokens))

        def walk(leaf: Columns, mask: int, after: Key | None) -> Iterator[Key]:
            return best(leaf, added([self._words.worth(leaf, word) for word in words], leaf.size), mask, after)

        return walk

    def counts(self, clauses: Sequence[Clause] = ()) -> dict[str, int]:
        """How many tasks for which all the clauses hold are in each state, zeros included."""
        return self._by_state(self.holding(clauses))

    def _by_state(self, masks: Sequence[Masked]) -> dict[str, int]:
        return {
            state: sum((leaf.stating(f"state:{state}") & mask).bit_count() for leaf, mask in masks if mask)
            for state in STATES
        }

    def tally(self, plan: Plan) -> dict[str, int]:
        """How many of the plan's tasks are in each state, zeros included. Raises as `page` does."""
        return self._by_state(self.planned(plan))

    def find(self, task: str) -> tuple[Columns, int] | None:
        """The state segment and document number of a task."""
        return _found(self.columns, task)

    def find_text(self, task: str) -> tuple[Texts, int] | None:
        """The text segment and document number of a task."""
        return _found(self.texts, task)

    def digest(self, task: str) -> bytes | None:
        """The digest of what a task's title and text were when they were last written; `None` for an unknown task."""
        found = self.find_text(task)
        return found[0].digests[found[1]] if found else None

    def _settled(self, clause: Clause, readable: tuple[Clause, ...]) -> Clause:
        """The clause; a beginning that may stand for too many words gets those that its reader may know of."""
        phrase = clause.term
        if not isinstance(phrase, Phrase) or not phrase.prefix or self._is_narrow(phrase.tokens[-1]):
            return clause
        prefix, kept = phrase.tokens[-1], self._endings
        if (prefix, readable) not in kept:
            # Others may be at it: what was kept is never taken out of a dictionary, only left with it.
            kept = self._endings = kept if len(kept) < MAX_ENDINGS else {}
            kept[prefix, readable] = self._readable_words(prefix, readable)
        endings = kept[prefix, readable]
        if endings is None:
            raise Invalid("bad-query", "q", f"{prefix}* is the beginning of more than {MAX_EXPANSION} words; type more")
        return replace(clause, term=replace(phrase, endings=endings))

    def _is_narrow(self, prefix: str) -> bool:
        """Whether at most `MAX_EXPANSION` words begin so, whoever may know of them; then no reader has more."""
        widths = [text.width(prefix) for text, _ in self.texts]
        if sum(widths) <= MAX_EXPANSION or max(widths) > MAX_EXPANSION:
            return sum(widths) <= MAX_EXPANSION
        return len({word for text, _ in self.texts for word in text.words(prefix)}) <= MAX_EXPANSION

    def _readable_words(self, prefix: str, readable: tuple[Clause, ...]) -> tuple[str, ...] | None:
        """The words that begin so in live tasks for which `readable` holds; `None` for more than `MAX_EXPANSION`."""
        known = known_by(self.holding(readable))
        found: set[str] = set()
        for text, live in self.texts:
            alive = flags_of(live, text.size)
            for word, docs in text.holders(prefix):
                if any(alive[doc >> 3] >> (doc & 7) & 1 and knows(known, text.ids[doc]) for doc in docs):
                    found.add(word)
                    if len(found) > MAX_EXPANSION:
                        return None
        return tuple(sorted(found))

    def _planned(self, leaf: Columns, live: int, plan: Plan, said: Sequence[Clause]) -> int:
        """The live documents for which the plan's clauses hold; `said` are those about text, settled."""
        return self._matching(leaf, live & leaf.planned(plan), said)

    def _matching(self, leaf: Columns, live: int, clauses: Sequence[Clause]) -> int:
        for clause in clauses:
            if not live:
                break
            holds = self._holds(leaf, clause.term)
            live &= ~holds if clause.negated else holds
        return live

    def _holds(self, leaf: Columns, term: Term) -> int:
        if not isinstance(term, Phrase):
            return leaf.holds(term)
        generation = self.key[2] if self.key else 0
        joined = leaf.cached((generation, term.tokens, term.prefix, term.endings), lambda: self._joined(leaf, term))
        return joined | leaf.holds(IdPrefix(term.or_id)) if term.or_id else joined

    def _joined(self, leaf: Columns, phrase: Phrase) -> int:
        if len(phrase.tokens) == 1 and not phrase.prefix:
            return present(self._words.worth(leaf, phrase.tokens[0]))
        return self._words.saying(leaf, [(text, text.saying(phrase) & live) for text, live in self.texts])


def _walk(plan: Plan, leaf: Columns, mask: int, after: Key | None) -> Iterator[Key]:
    """The sort keys of the masked documents, which are the plan's."""
    return leaf.walk(plan.sort, mask, after, None if plan.said else leaf.ordered(plan))


def _ascending(keys: list[Key]) -> Iterator[Key]:
    """The keys in order, as far as they are asked for: a page of many costs less than sorting them all."""
    heapify(keys)
    while keys:
        yield heappop(keys)


def known_by(masked: Iterable[tuple[Leaf, int]]) -> Known:
    """The masked documents, to be asked for single tasks."""
    return [(leaf.docs, flags_of(mask, leaf.size)) for leaf, mask in masked if mask]


def knows(known: Known, task: str) -> bool:
    """Whether the task is among them."""
    for docs, flags in known:
        doc = docs.get(task)
        if doc is not None and flags[doc >> 3] >> (doc & 7) & 1:
            return True
    return False


def total(masked: Iterable[tuple[Leaf, int]]) -> int:
    """How many documents are masked."""
    return sum(mask.bit_count() for _, mask in masked)


def _found(leaves: Sequence[tuple[_L, int]], task: str) -> tuple[_L, int] | None:
    for leaf, live in leaves:
        doc = leaf.docs.get(task)
        if doc is not None and live >> doc & 1:
            return leaf, doc
    return None
