"""What to search for instead of a query that finds nothing because of words that are in no task.

* A suggestion is the query with such words replaced by ones a typing mistake or two away, and finds a task for the same
  reader in the same snapshot: it was asked before it is given.
* A word is offered only if a live task that the reader may know of has it, and how many have it is counted among those
  alone. Bounds are kept apart for the words of public tasks (see `vocabulary`), so that others' private words are not
  told, nor do they change the order, nor displace any of a public task; of one's own private words only floods can.
* Bounded: no suggestions for long queries; a word that is in very many tasks is not counted one by one; at most
  `MAX_TRIES` queries are tried.
* Segments never change: each is read once, some words at a time, so what is in a large one is known only after a
  while. What an index that was built anew no longer has, is forgotten.

>>> suggested(snapshot, Query("anual raport state:draft"), Speller())                   # doctest: +SKIP
('annual report state:draft',)
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from threading import Lock
from typing import Final

from taskrepo.bitmasks import flags_of
from taskrepo.listing import WORDS, Known, Masked, Snapshot, Texts, known_by, knows, total
from taskrepo.query import Clause, Phrase, Plan, Query, plan, readable, states_listed
from taskrepo.rewording import reworded, words_of
from taskrepo.vocabulary import LONGEST, Vocabulary

MAX_SUGGESTIONS: Final = 3
MAX_WORDS: Final = 12
"""A query of more words gets no suggestion."""
MAX_MISSPELT: Final = 3
MAX_TRIES: Final = 9
LEARN_AT_ONCE: Final = 1 << 13
"""How many words are read before a question is answered; the others are when nothing else is to be done."""
COMMON: Final = 1000
"""A word that is in more tasks than this is looked for as a search does, not task by task."""
_SHORT: Final = 3
_LONG: Final = 6
_PAGE: Final = 1024
_DEAR: Final = 8
_WASTE: Final = 4096

Place = str | None
"""The first word of a segment that has not been read; `None` if all have been."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """A word to take instead, the best first: how far away it is, and how many readable tasks have it."""

    distance: int
    count: int
    word: str

    @property
    def rank(self) -> tuple[int, int, str]:
        """The key to sort by."""
        return self.distance, -self.count, self.word


class Speller:
    """The words of one index, as far as they were learned. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()  # guards all of it, for a page of words at a time
        self._home = ""
        self._vocabulary = Vocabulary[str]()
        self._places: dict[str, Place] = {}

    def near(self, word: str, most: int) -> list[list[str]]:
        """The words at distance 1 and so on to `most`, as `Vocabulary.near` has them."""
        with self._lock:
            return self._vocabulary.near(word, most)

    def holders(self, word: str) -> list[str]:
        """The names of the segments that have the word."""
        with self._lock:
            return list(self._vocabulary.holders(word))

    def learn(self, snapshot: Snapshot, most: int) -> bool:
        """Read on in what was not read of the snapshot's segments, and forget those that it no longer has.

        Reads about `most` words; returns whether there is more. Small segments come first: what is new is in those.
        """
        self._forget(snapshot)
        home = _home(snapshot)
        public: Known | None = None
        for text in sorted((text for text, _ in snapshot.texts), key=lambda text: text.size):
            while (place := self._place(text)) is not None:
                if most <= 0 or self._home != home:
                    return True
                public = known_by(snapshot.holding(readable(None))) if public is None else public
                most -= self._read(home, text, place, public)
                text.let_go()
        return False

    def _forget(self, snapshot: Snapshot) -> None:
        home = _home(snapshot)
        names = {text.name for text, _ in snapshot.texts}
        with self._lock:
            if home == self._home and self._places.keys() <= names:
                return
            self._places = {name: place for name, place in self._places.items() if name in names}
            self._vocabulary.forget(names)
            if home != self._home or self._vocabulary.stale > max(_WASTE, self._vocabulary.size // 2):
                self._home, self._vocabulary, self._places = home, Vocabulary[str](), {}

    def _place(self, text: Texts) -> Place:
        return self._places.get(text.name, "")

    def _read(self, home: str, text: Texts, place: str, public: Known) -> int:
        """Learn some words of a segment; returns what that cost, where reading one costs 1."""
        page, found, cost = list(islice(text.beginning(WORDS, "", place), _PAGE)), [], 1
        for word, first, last in page:
            is_public = knows(public, text.ids[first]) or knows(public, text.ids[last])
            if not is_public and last - first > 1:
                cost += _DEAR
                is_public = any(knows(public, text.ids[doc]) for doc in text.holding(WORDS, word).tolist())
            found.append((word, is_public))
        with self._lock:
            # Else another thread has just read the same, or the index was built anew meanwhile.
            if self._home == home and self._place(text) == place:
                self._vocabulary.learn(text.name, found)
                self._places[text.name] = f"{page[-1][0]}\0" if len(page) == _PAGE else None
        return cost + len(page)


def _home(snapshot: Snapshot) -> str:
    """What tells an index that was built anew from the one before."""
    return snapshot.key[0] if snapshot.key else ""


def suggested(snapshot: Snapshot, query: Query, speller: Speller) -> tuple[str, ...]:
    """At most `MAX_SUGGESTIONS` queries to put in the place of `query.q`, the best first; none if it finds a task.

    Raises `Invalid` as a search for it does.
    """
    asked = plan(query)
    words = words_of(query.q)
    if not 0 < len(words) <= MAX_WORDS or total(snapshot.planned(asked)):
        return ()
    misspelt = [word for word in words if _is_misspelt(snapshot, asked, word)]
    if not 0 < len(misspelt) <= MAX_MISSPELT:
        return ()
    others = snapshot.planned(_without(asked, frozenset(misspelt)))
    if not total(others):
        return ()
    speller.learn(snapshot, LEARN_AT_ONCE)
    counting = _Counting(snapshot, asked, others)
    choices = [counting.choices(word, speller) for word in misspelt]
    return tuple(islice(_finding(snapshot, query, misspelt, choices), MAX_SUGGESTIONS))


def _is_misspelt(snapshot: Snapshot, asked: Plan, word: str) -> bool:
    """Whether no task that the reader may know of has the word, and it is one that can be compared with others."""
    if not _SHORT <= len(word) <= LONGEST or not word.isalpha():
        return False
    return not total(snapshot.holding((Clause(Phrase((word,))), *asked.readable)))


def _without(asked: Plan, words: frozenset[str]) -> Plan:
    """The plan without what it says of these words."""
    said = [c for c in asked.said if c.negated or not isinstance(c.term, Phrase) or words.isdisjoint(c.term.tokens)]
    return replace(asked, said=tuple(said))


def _finding(
    snapshot: Snapshot, query: Query, misspelt: Sequence[str], choices: Sequence[Sequence[_Choice]]
) -> Iterator[str]:
    """The queries with words chosen that find something, the best first."""
    made = sorted(product(*map(enumerate, choices)), key=_worse)
    for chosen in made[:MAX_TRIES]:
        words = dict(zip(misspelt, (choice.word for _, choice in chosen), strict=True))
        q = reworded(query.q, words)
        # Which states a list shows of itself must not turn on a word that stands before a colon.
        same = q is not None and bool(states_listed(q)) == bool(states_listed(query.q))
        if q is not None and same and total(snapshot.planned(plan(replace(query, q=q)))):
            yield q


def _worse(chosen: Sequence[tuple[int, _Choice]]) -> tuple[int, int]:
    return sum(choice.distance for _, choice in chosen), sum(place for place, _ in chosen)


class _Counting:
    """How many readable tasks have a word, for one reader and one snapshot."""

    def __init__(self, snapshot: Snapshot, asked: Plan, others: Sequence[Masked]) -> None:
        """`others` are the tasks that fit all else that the query says."""
        self._snapshot, self._clauses, self._others = snapshot, asked.readable, others
        self._fit, self._known = known_by(others), known_by(snapshot.holding(asked.readable))
        self._texts = {text.name: (text, flags_of(live, text.size)) for text, live in snapshot.texts}

    def choices(self, word: str, speller: Speller) -> list[_Choice]:
        """What to take instead of a word, the best first; words further away only where there are few near ones."""
        found: list[_Choice] = []
        for distance, near in enumerate(speller.near(word, 2 if len(word) >= _LONG else 1), 1):
            if len(found) < MAX_SUGGESTIONS:
                choices = (self._choice(each, distance, speller.holders(each)) for each in near)
                found += sorted(filter(None, choices), key=lambda choice: choice.rank)
        return found[:MAX_TRIES]

    def _choice(self, word: str, distance: int, holders: Iterable[str]) -> _Choice | None:
        """The word, if one of the tasks that fit has it."""
        said = self._tasks(word, holders)
        if said is None:
            masked = self._snapshot.holding((Clause(Phrase((word,))), *self._clauses))
            fits = any(mask & other for (_, mask), (_, other) in zip(masked, self._others, strict=True))
            return _Choice(distance, total(masked), word) if fits else None
        tasks = [task for task in said if knows(self._known, task)]
        return _Choice(distance, len(tasks), word) if any(knows(self._fit, task) for task in tasks) else None

    def _tasks(self, word: str, holders: Iterable[str]) -> set[str] | None:
        """The tasks whose text has the word, whoever may know of them; `None` if there are more than `COMMON`."""
        said: set[str] = set()
        for name in holders:
            text, alive = self._texts.get(name, (None, b""))  # a segment may be one of another snapshot
            docs = text.holding(WORDS, word)[: COMMON + 1].tolist() if text else []
            if text and len(docs) <= COMMON:
                said.update(text.ids[doc] for doc in docs if alive[doc >> 3] >> (doc & 7) & 1)
            if max(len(docs), len(said)) > COMMON:
                return None
        return said
