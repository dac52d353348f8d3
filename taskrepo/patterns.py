"""Patterns that other people write: regular expressions of schemas, and paths with wildcards.

* Matching takes time linear in the text, whatever the pattern: both kinds are matched by RE2, which never backtracks.
* `weight` bounds what one character of text may cost, and is counted here, so it is the same with every RE2.
* What RE2 lacks or ECMAScript reads in another way is refused, never taken for something else.

>>> glob("data/*.csv").matches("artifacts/data/a.csv"), glob("data/*.csv").matches("artifacts/data/deep/a.csv")
(True, False)
>>> regex("^a+$", "schema.pattern").within("aab")
False
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import re2

from taskrepo.errors import Invalid

MAX_LENGTH: Final = 32 << 10
"""How many characters one regular expression may have: as many as a schema has bytes."""
MAX_WEIGHT: Final = 5000
"""What one regular expression may weigh: about its length with every repetition written out."""
MAX_WILDCARDS: Final = 10
"""How many `*`, `?` and `[…]` a path may have: an automaton for so many always fits in the memory RE2 is given."""

_MEMORY: Final = 1 << 20
# What is not closed goes to the end, so that nothing is gone through twice; RE2 refuses it.
_TOKEN: Final = re.compile(
    r"\\[pP](?:\{[^}]*\}?|.)|\\[ux]\{[^}]*\}?|\\.|\[\^?(?:\\.|[^\]\\])*(?:\]|\\?\Z)|\{[0-9]{1,9}(?:,[0-9]{0,9})?\}|.",
    re.DOTALL,
)
_HEX: Final = re.compile(
    r"(\\\\)|\\u\{([0-9A-Fa-f]{1,6})\}|\\u([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})|\\u([0-9A-Fa-f]{4})"
)
_ESCAPES: Final = frozenset("dDwWsSbBtnrvf0xupP")
_WILD: Final = re.compile(r"\*+|\?|\[!?\]?[^\]]*\]")
_RANGE: Final = re.compile(r"(.)-(.)|(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern. `weight` is what a character of text costs, in about the cost of one plain character.

    Whatever matches ends with `ending`, which is quicker to see.
    """

    source: str
    weight: int
    compiled: Any
    ending: str = ""

    def within(self, text: str) -> bool:
        """Whether the pattern occurs in the text."""
        return self.compiled.search(text) is not None

    def matches(self, text: str) -> bool:
        """Whether the whole text is what the pattern says."""
        return text.endswith(self.ending) and self.compiled.fullmatch(text) is not None


def regex(source: str, where: str) -> Pattern:
    """The regular expression (ECMA-262, as JSON Schema asks) at `where`.

    `\\d`, `\\w`, `\\s` and `\\b` know ASCII only. Raises `Invalid("bad-pattern")`.
    """
    if len(source) > MAX_LENGTH:
        raise Invalid("bad-pattern", where, f"is too long a pattern: {len(source)} characters, {MAX_LENGTH} may be")
    weight = _weight(source)
    if weight > MAX_WEIGHT:
        message = f"is too large a pattern: it weighs {weight} with its repetitions written out; {MAX_WEIGHT} may be"
        raise Invalid("bad-pattern", where, message)
    for token in _TOKEN.findall(source):
        _check_escapes(token, where)
    try:
        return Pattern(source, weight, _compiled(_HEX.sub(_code_point, source)))
    except (re2.error, ValueError) as error:
        raise Invalid("bad-pattern", where, f"is not a pattern that can be matched: {_reason(error)}") from None


@lru_cache(maxsize=256)
def glob(path: str) -> Pattern:
    """What matches the paths that `path` means, as given or below `artifacts/`.

    `*`, `?` and `[…]` (`[!…]` for others) stay within one name, `**` is any number of folders. A bare name with a
    wildcard, like `*.csv`, is looked for in all folders below `artifacts/`. An unclosed `[` is a character like others.
    """
    names = path.split("/")
    anywhere = len(names) == 1 and _WILD.search(path)
    folders = "[^/]+/"
    source = f"(?:artifacts/{f'(?:{folders})*' if anywhere else ''})?"
    for name in names[:-1]:
        source += f"(?:{folders})*" if name == "**" else f"{_name(name)}/"
    source += ".*" if names[-1] == "**" else _name(names[-1])
    return Pattern(path, len(source), _compiled(f"(?s){source}"), _WILD.split(names[-1])[-1])


def check_glob(path: str, where: str) -> None:
    """Raise `Invalid("bad-pattern")` if a path has so many wildcards that matching it could take long."""
    found = len(_WILD.findall(path))
    if found > MAX_WILDCARDS:
        raise Invalid("bad-pattern", where, f"has {found} wildcards; at most {MAX_WILDCARDS} are allowed")


def _compiled(source: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _MEMORY
    return re2.compile(source, options)


def _reason(error: Exception) -> str:
    told = error.args[0]
    words = told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
    about = {"(?=": "look-ahead", "(?!": "look-ahead", "(?<": "look-behind"}
    lacking = next((name for sign, name in about.items() if words.endswith((sign, f"{sign}=", f"{sign}!"))), "")
    return f"{lacking} is not allowed, because it cannot be matched in linear time" if lacking else words[:120]


def _check_escapes(token: str, where: str) -> None:
    for letter in re.findall(r"\\(.)", token, re.DOTALL):
        if letter.isascii() and letter.isalnum() and letter not in _ESCAPES:
            about = "back-references are not allowed, because they cannot be matched in linear time"
            message = about if letter in "123456789k" else f"\\{letter} is not of ECMA-262"
            raise Invalid("bad-pattern", where, f"is not a pattern that can be matched: {message}")


def _code_point(match: re.Match[str]) -> str:
    """ECMAScript's `\\uXXXX` as RE2 spells it."""
    if match[1]:
        return match[1]
    code = int(match[2] or match[5] or "0", 16)
    if match[3]:
        code = 0x10000 + ((int(match[3], 16) - 0xD800) << 10) + int(match[4], 16) - 0xDC00
    if 0xD800 <= code < 0xE000:
        raise ValueError(f"{match[0]} is half of a surrogate pair")
    return f"\\x{{{code:x}}}"


def _weight(source: str) -> int:
    """About the length of the pattern with every repetition written out."""
    open_groups, last = [0], 0
    for token in _TOKEN.findall(source):
        if token == "(":
            open_groups.append(0)
        elif token == ")" and len(open_groups) > 1:
            last = open_groups.pop()
            open_groups[-1] += last
        elif token[0] == "{" and len(token) > 1:
            times = max(map(int, filter(None, token[1:-1].split(","))))
            open_groups[-1] += last * (times - 1) if times else 0
            last *= max(times, 1)
        else:
            last = _atom(token)
            open_groups[-1] += last
    return sum(open_groups)


def _atom(token: str) -> int:
    """What one character or class weighs: those of many characters are automata of their own over UTF-8."""
    if re.search(r"\\[pP]", token):
        return 100
    wide = token == "." or token.startswith("[^") or re.search(r"\\[DWS]", token)
    return 10 if wide else 1 + len(token) // 8


def _name(name: str) -> str:
    """One name of a path with wildcards as a regular expression."""
    source, end = "", 0
    for match in _WILD.finditer(name):
        source += re.escape(name[end : match.start()]) + _wildcard(match[0])
        end = match.end()
    return source + re.escape(name[end:])


def _wildcard(sign: str) -> str:
    if sign[0] == "*":
        return "[^/]*"
    if sign == "?":
        return "[^/]"
    others = sign.startswith("[!")
    ranges = "".join(_range(*found) for found in _RANGE.findall(sign[2:-1] if others else sign[1:-1]))
    return f"[^/{ranges}]" if others else f"[{ranges}]" if ranges else "[^\\x{0}-\\x{10FFFF}]"


def _range(first: str, last: str, single: str) -> str:
    """A part of `[…]`, which never matches a slash; one whose ends are the wrong way round matches nothing."""
    first, last = first or single, last or single
    if first <= "/" <= last:
        return _range(first, ".", "") + _range("0", last, "")
    return f"\\x{{{ord(first):x}}}-\\x{{{ord(last):x}}}" if first <= last else ""
