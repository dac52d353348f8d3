"""A query with some of its words replaced, and nothing else of it changed.

* Pure. A word can be replaced where it is searched for as itself: bare or in a phrase, not in a field's value, not
  after a minus, not as the beginning of a word.
* What comes out is parsed again and must mean the same as what went in, but for those words; else there is none.

>>> words_of('"anual Report" -raport state:draft')
('anual', 'report')
>>> reworded('"anual Report" -anual state:draft', {"anual": "annual"})
'"annual Report" -anual state:draft'
"""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from taskrepo.errors import Invalid
from taskrepo.query import Clause, Phrase, parse, pieces, tokens


@dataclass(frozen=True, slots=True)
class _Spot:
    """A word of the query that can be replaced: where it stands, and as what it is searched."""

    start: int
    end: int
    token: str


def words_of(q: str) -> tuple[str, ...]:
    """The words that can be replaced, as they are searched, each once. Raises `Invalid("bad-query", …)`."""
    return tuple(dict.fromkeys(spot.token for spot in _spots(q)))


def reworded(q: str, words: Mapping[str, str]) -> str | None:
    """The query with each of `words` replaced; `None` if there is no way to say just that.

    Raises `Invalid("bad-query", …)` for a query that means nothing.
    """
    said, at = [], 0
    for spot in _spots(q):
        if spot.token in words:
            said += [q[at : spot.start], words[spot.token]]
            at = spot.end
    made = "".join((*said, q[at:]))
    wanted = [_replaced(clause, words) for clause in parse(q)]
    try:
        return made if [_replaced(clause, {}) for clause in parse(made)] == wanted else None
    except Invalid:
        return None


def _replaced(clause: Clause, words: Mapping[str, str]) -> Clause:
    """The clause with its words replaced, whatever ids begin like it."""
    phrase = clause.term
    if not isinstance(phrase, Phrase):
        return clause
    ends = len(phrase.tokens) - phrase.prefix
    said = {} if clause.negated else words
    made = (said.get(token, token) if n < ends else token for n, token in enumerate(phrase.tokens))
    return replace(clause, term=replace(phrase, tokens=tuple(made), or_id=""))


def _spots(q: str) -> Iterator[_Spot]:
    for piece in pieces(q):
        if piece["field"] is None and piece["neg"] is None:
            kind = "quoted" if piece["bare"] is None else "bare"
            spots = list(_words(piece[kind], piece.start(kind)))
            yield from spots[:-1] if kind == "bare" and piece[kind].endswith("*") else spots


def _words(text: str, start: int) -> Iterator[_Spot]:
    """The runs of letters that are searched as one word each."""
    for is_word, run in groupby(enumerate(text, start), lambda at: _is_letter(at[1])):
        if is_word:
            letters = list(run)
            said = tuple(tokens("".join(letter for _, letter in letters)))
            if len(said) == 1:
                yield _Spot(letters[0][0], letters[-1][0] + 1, said[0])


def _is_letter(character: str) -> bool:
    # An accent may stand by itself after its letter.
    return character.isalnum() or unicodedata.category(character) == "Mn"
