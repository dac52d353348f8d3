"""One parser as a fuzzer sees it: bytes in, nothing out, and no exception but those that the parser promises.

* A harness is a pure function of its bytes: the same bytes, the same outcome. What it keeps for a moment is below a
  folder of its own and gone when the harness returns.
* An `AssertionError` is a finding like any other: where a parser has an inverse, the harness asserts that it is one.
* One harness serves every engine: atheris, hypothesis, and the plain mutations of `mutations`.

>>> Harness("number", lambda data: None, lambda: (b"7",))(b"anything")
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from taskrepo.errors import Invalid

CUT = b"\0|\0"
"""What stands between the parts of an input that a parser takes several of."""


@dataclass(frozen=True)
class Harness:
    """A parser under test. `raises` are what it may raise, `seeds` real inputs, `words` what its grammar is made of.

    `parse` is what an input costs where it comes in, if `run` does more: reads it within other bounds, or in two ways.
    `seconds` is what a megabyte of it may cost: a document of the exchange itself, that no client writes, five times
    as much as what comes from outside.
    """

    name: str
    run: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]
    words: tuple[bytes, ...] = ()
    raises: tuple[type[Exception], ...] = (Invalid,)
    parse: Callable[[bytes], object] | None = None
    seconds: float = 0.2

    def __call__(self, data: bytes) -> None:
        """Try one input. Raises whatever the parser should not have raised."""
        with suppress(*self.raises):
            self.run(data)

    def cost(self, data: bytes) -> None:
        """What the exchange does with such an input where it comes in, and no more."""
        with suppress(*self.raises):
            (self.parse or self.run)(data)


def parts(data: bytes, count: int) -> list[bytes]:
    """The input in so many parts; those that are not there are empty."""
    found = data.split(CUT, count - 1)
    return found + [b""] * (count - len(found))


def text(data: bytes) -> str:
    """The input as a parser of text gets it: what is no UTF-8 has been replaced long before."""
    return data.decode("utf-8", "replace")


def field(data: bytes) -> str:
    """The input as the value of a header field: Latin-1, without what cannot be in one."""
    return data.decode("latin-1").translate({0: None, 10: None, 13: None})
