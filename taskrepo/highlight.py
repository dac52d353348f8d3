"""Which words of a text a search found: the text cut into pieces, and a snippet around the first of them.

* Pure. The pieces of a text, joined, are the text (in NFC), whatever was searched: nothing is added, escaped or lost,
  and nothing is markup. Whoever shows them escapes each.
* Words are compared as the index compares them (`query.tokens`): without case, accents and compatibility forms, one
  for each CJK character, phrases in a row, `begin*` by its beginning. A negated word is never marked.
* The work is bounded: of a text `MAX_TEXT` characters are looked at, for each condition at `MAX_TRIES` places.

>>> from taskrepo.query import parse
>>> [piece.text for piece in pieces("A Café in the old town", marks(parse('cafe "old town" -in'))) if piece.hit]
['Café', 'old town']
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Final

from taskrepo.query import CJK, MAX_TOKEN, Clause, IdPrefix, Phrase, folded

MAX_TEXT: Final = 20_000
MAX_TRIES: Final = 200
MAX_SNIPPET: Final = 140
"""Characters of one window of a snippet, which has at most `_WINDOWS`."""
_BEFORE: Final = 40
_WINDOWS: Final = 2
# Compiled once: of each query anew, such large classes of characters would cost seconds.
_LETTERS: Final = re.compile(f"[^\\W_{CJK}]*+")
_BETWEEN: Final = re.compile(r"[\W_]*+")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text, and whether the search found it."""

    text: str
    hit: bool = False


@dataclass(frozen=True, slots=True)
class _Needle:
    """A phrase to find in a folded text: its words, of which the last may be only a beginning."""

    tokens: tuple[str, ...]
    prefix: bool


@dataclass(frozen=True, slots=True)
class Marks:
    """What to mark: the phrases of a query, and the beginnings of ids it named."""

    needles: tuple[_Needle, ...] = ()
    ids: tuple[str, ...] = ()


def marks(clauses: Iterable[Clause]) -> Marks:
    """What the clauses of a query (`query.parse`) look for in words; filters and negated clauses look for nothing."""
    terms = [clause.term for clause in clauses if not clause.negated]
    phrases = [term for term in terms if isinstance(term, Phrase)]
    named = [term.prefix for term in terms if isinstance(term, IdPrefix)]
    needles = dict.fromkeys(_Needle(phrase.tokens, phrase.prefix) for phrase in phrases)
    return Marks(tuple(needles), (*named, *(p.or_id for p in phrases if p.or_id)))


def pieces(text: str, wanted: Marks) -> tuple[Piece, ...]:
    """The text, in NFC, cut at what is wanted; one piece without a hit if nothing is found, none for an empty text."""
    text = unicodedata.normalize("NFC", text)
    return tuple(_cut(text, 0, len(text), _merged(hit for hits in _found(text, wanted) for hit in hits)))


def id_pieces(task: str, wanted: Marks) -> tuple[Piece, ...]:
    """A task's id, of which the longest beginning that was asked for is marked."""
    known = max((len(prefix) for prefix in wanted.ids if task.startswith(prefix)), default=0)
    return tuple(_cut(task, 0, len(task), [(0, known)] if known else []))


def snippet(text: str, wanted: Marks) -> tuple[Piece, ...]:
    """At most two windows of `MAX_SNIPPET` characters around the first hits, on one line; empty if there is no hit."""
    text = " ".join(unicodedata.normalize("NFC", text[:MAX_TEXT]).split())
    found = _found(text, wanted)
    spans = _merged(hit for hits in found for hit in hits)
    told: list[Piece] = []
    end = 0
    for start, end in _windows(text, sorted(hits[0] for hits in found if hits)):
        told += [Piece("… " if start and not told else " … " if told else "")]
        told += _cut(text, start, end, spans)
    told += [Piece(" …")] if 0 < end < len(text) else []
    return tuple(piece for piece in told if piece.text)


# From a text to spans


def _found(text: str, wanted: Marks) -> list[list[Span]]:
    """Where each needle stands in the text, in its own characters."""
    if not wanted.needles:
        return []
    low, ends = _folding(text[:MAX_TEXT])
    return [[_unfolded(span, text, ends) for span in _spans(low, needle)] for needle in wanted.needles]


def _folding(text: str) -> tuple[str, Sequence[int] | None]:
    """The folded text, and for each character of the text where it ends in there; `None` if that is its own place."""
    if text.isascii():
        return text.lower(), None
    parts = [_folded_character(character) for character in text]
    return "".join(parts), list(accumulate(map(len, parts)))


@lru_cache(maxsize=1 << 14)
def _folded_character(character: str) -> str:
    return folded(character)


def _spans(low: str, needle: _Needle) -> Iterator[Span]:
    begin = needle.tokens[0]
    at = low.find(begin)
    for _ in range(MAX_TRIES):
        if at < 0:
            return
        end = _end(low, at, needle)
        if end:
            yield at, end
        at = low.find(begin, end or at + 1)


def _end(low: str, at: int, needle: _Needle) -> int:
    """Where the phrase ends that stands at `at`; 0 if it does not stand there."""
    if at and _skip(_LETTERS, low, at - 1) > at:
        return 0  # in the middle of a word
    last = len(needle.tokens) - 1
    for n, token in enumerate(needle.tokens):
        at = _skip(_BETWEEN, low, at) if n else at
        if not low.startswith(token, at):
            return 0
        at += len(token)
        if _skip(_LETTERS, token, 0):  # a CJK character ends wherever it stands
            end = _skip(_LETTERS, low, at)
            # The index cuts long words, so their ends are free.
            if end > at and len(token) < MAX_TOKEN and not (needle.prefix and n == last):
                return 0
            at = end
    return at


def _skip(kind: re.Pattern[str], text: str, at: int) -> int:
    """Where what is of this kind ends that stands at `at`, which may be nothing."""
    found = kind.match(text, at)
    assert found  # nothing is found as well
    return found.end()


def _unfolded(span: Span, text: str, ends: Sequence[int] | None) -> Span:
    """A span of the folded text in the text itself, with the accents that follow its last letter."""
    if ends is None:
        return span
    first, last = bisect_right(ends, span[0]), bisect_right(ends, span[1] - 1) + 1
    while last < len(ends) and ends[last] == ends[last - 1]:
        last += 1
    return first, last


def _merged(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, those that touch or overlap made one."""
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


# From spans to pieces


def _windows(text: str, firsts: Sequence[Span]) -> list[Span]:
    """Windows around the first hits of the phrases, in order; a hit that a window shows needs none of its own."""
    made: list[Span] = []
    for first, _ in firsts:
        end = made[-1][1] if made else 0
        if len(made) < _WINDOWS and (first >= end or not made):
            made.append(_window(text, first, max(end, first - _BEFORE)))
    return _joined(made)


def _joined(windows: list[Span]) -> list[Span]:
    """The windows, two that leave out nothing but a space between them made one."""
    if len(windows) == _WINDOWS and windows[1][0] <= windows[0][1] + 1:
        return [(windows[0][0], windows[1][1])]
    return windows


def _window(text: str, hit: int, start: int) -> Span:
    """A window from `start` or soon after, so that it shows the hit, cut between words where there is a gap."""
    if start:
        start = text.find(" ", start - 1, hit) + 1 or start
    end = start + MAX_SNIPPET
    if end >= len(text):
        return start, len(text)
    gap = text.rfind(" ", hit, end + 1)
    return start, gap if gap > 0 else end


def _cut(text: str, start: int, end: int, spans: Iterable[Span]) -> Iterator[Piece]:
    """The pieces of `text[start:end]`: in and between the spans."""
    at = start
    for first, last in spans:
        first, last = max(first, at), min(last, end)
        if first < last:
            yield from (Piece(text[at:first]),) if at < first else ()
            yield Piece(text[first:last], True)
            at = last
    if at < end:
        yield Piece(text[at:end])
