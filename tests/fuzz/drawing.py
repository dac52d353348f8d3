"""The same harnesses under hypothesis: inputs drawn by it, and its buffers as what another fuzzer mutates.

>>> one_input(HARNESSES["json"], HARNESSES["json"])(bytes(64)) is None                        # doctest: +SKIP
False
"""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.harness import Harness
from tests.fuzz.mutations import mutated


def inputs(harness: Harness) -> st.SearchStrategy[bytes]:
    """Any bytes, words of the grammar in a row, and real inputs that were changed."""
    corpus = list(harness.seeds())
    words = st.lists(st.sampled_from((*harness.words, *corpus, b" ", b"\n")), max_size=12).map(b"".join)
    changed = st.randoms(use_true_random=False).map(lambda source: mutated(source, corpus, harness.words))
    return st.binary(max_size=400) | words | changed


def one_input(harness: Harness, run: Callable[[bytes], object]) -> Callable[[bytes], bytes | None]:
    """What makes an input of a buffer, as hypothesis draws it, and runs it."""

    @given(inputs(harness))
    def trial(data: bytes) -> None:
        run(data)

    return trial.hypothesis.fuzz_one_input  # type: ignore[attr-defined,no-any-return]
