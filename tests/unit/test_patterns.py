"""Patterns that other people write: what they match, what is refused, and that none is slow."""

import time

import pytest

from taskrepo.errors import Invalid
from taskrepo.patterns import MAX_LENGTH, MAX_WEIGHT, MAX_WILDCARDS, _weight, check_glob, glob, regex


@pytest.fixture(autouse=True)
def afresh() -> None:
    """No test gets by with a path that another one has had read."""
    glob.cache_clear()


@pytest.mark.parametrize(
    ("path", "matching", "others"),
    [
        ("out.csv", ["out.csv", "artifacts/out.csv"], ["artifacts/deep/out.csv", "logs/out.csv", "outxcsv", "OUT.csv"]),
        ("*.csv", ["a.csv", "artifacts/a.csv", "artifacts/x/y/.csv"], ["logs/a.csv", "artifacts/a.csv/b", "acsv"]),
        ("artifacts/*.csv", ["artifacts/a.csv", "artifacts/artifacts/a.csv"], ["artifacts/x/a.csv"]),
        ("a/*/b", ["a/x/b", "artifacts/a/x/b"], ["a/b", "a/x/y/b"]),
        ("a/**/b", ["a/b", "a/x/b", "artifacts/a/x/y/b"], ["a/bb", "ab", "x/a/b"]),
        ("**/b", ["b", "x/b", "artifacts/x/y/b", "logs/b"], ["bb", "xb"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "ab/c"]),
        ("**", ["a", "logs/a"], []),
        ("a**b", ["ab", "axxb", "artifacts/x/ab"], ["logs/ab"]),
        ("out.[ct]sv", ["out.csv", "artifacts/out.tsv"], ["out.xsv", "out.sv"]),
        ("[!a-c]x", ["dx", "-x"], ["ax", "bx", "x"]),
        ("[+-9]x", [".x", "0x", "5x"], ["/x", "artifacts//x"]),
        ("[z-a]x", [], ["zx", "ax", "x"]),
        ("[]]x", ["]x"], ["x", "[x"]),
        ("[!]]x", ["ax"], ["]x"]),
        ("[a", ["[a", "artifacts/[a"], ["a", "artifacts/x/[a"]),
        ("a?c", ["abc", "aéc"], ["ac", "abbc", "a/c"]),
        ("(a|b)+.$", ["(a|b)+.$"], ["a.", "ab$"]),
        ("a\\b c", ["a\\b c"], ["ab c"]),
    ],
)
def test_paths_with_wildcards(path: str, matching: list[str], others: list[str]) -> None:
    """Wildcards stay within one name, `**` spans folders, and all is looked for below artifacts/ as well."""
    pattern = glob(path)
    assert [p for p in matching if not pattern.matches(p)] == []
    assert [p for p in others if pattern.matches(p)] == []


@pytest.mark.parametrize("path", ["*a" * 200, "*a*a*a*a*b", "*?" * 200, "**/" * 130 + "x", "[!a]*" * 80])
def test_hostile_paths_come_to_an_end(path: str) -> None:
    """A pattern made to make a backtracking matcher explode is matched against long names at once."""
    assert not glob(path).matches("artifacts/" + "a" * 380 + "/" + "a" * 200 + "!/" * 40)


def test_paths_have_few_wildcards() -> None:
    """A manifest's path may have ten wildcards, and no more."""
    check_glob("*a" * MAX_WILDCARDS, "here")
    with pytest.raises(Invalid, match="here: has 11 wildcards; at most 10"):
        check_glob("?[ab]" * 5 + "*", "here")


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        ("^a+$", "aaa", True),
        ("^a+$", "aaa\n", False),
        ("b", "abc", True),
        ("^.$", "é", True),
        (r"^\u00e9\u{1f600}\ud83d\ude00$", "é😀😀", True),
        (r"^\\u0041$", r"\u0041", True),
        (r"^[\u00e0-\u00ff]$", "é", True),
        (r"^\d$", "٣", False),
        (r"^\p{L}+$", "Ünï", True),
        (r"^a\/b\-c$", "a/b-c", True),
        ("^(?<year>[0-9]{4})-(?:0[1-9]|1[0-2])$", "2026-12", True),
        ("^a{0}b{2,}c{1,3}$", "bbbc", True),
        ("(a)?b", "b", True),
    ],
)
def test_regular_expressions(source: str, text: str, found: bool) -> None:
    """They mean what ECMA-262 says, and are found anywhere in the text."""
    assert regex(source, "here").within(text) is found


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("(?=a)b", "look-ahead is not allowed"),
        ("(?!a)b", "look-ahead is not allowed"),
        ("(?<=a)b", "look-behind is not allowed"),
        ("(?<!a)b", "look-behind is not allowed"),
        (r"(a)\1", "back-references are not allowed"),
        (r"(?<x>a)\k<x>", "back-references are not allowed"),
        (r"\Aa", r"\A is not of ECMA-262"),
        (r"[\z]", r"\z is not of ECMA-262"),
        (r"\ud83d", "half of a surrogate pair"),
        (r"\u{d800}", "half of a surrogate pair"),
        ("(", "missing )"),
        (")", "unexpected )"),
        ("[", "missing ]"),
        ("a**", "bad repetition"),
        ("a{1001}", "invalid repetition size"),
        (r"(\pL\pN\p{Greek}){40}", "too large"),
        ("[ab\\", "trailing"),
        (r"\p{Greek", "invalid character class"),
        ("a" * (MAX_LENGTH + 1), f"is too long a pattern: {MAX_LENGTH + 1} characters, {MAX_LENGTH} may be"),
        ("((a{100}){10}){10}", f"weighs 10000 with its repetitions written out; {MAX_WEIGHT} may be"),
    ],
)
def test_what_cannot_be_matched_is_refused(source: str, told: str) -> None:
    """What RE2 lacks, reads in another way or finds too large is refused with the reason and the place."""
    with pytest.raises(Invalid) as caught:
        regex(source, "schema.pattern")
    assert (caught.value.code, caught.value.where) == ("bad-pattern", "schema.pattern")
    assert told in caught.value.message


@pytest.mark.parametrize(
    ("source", "weight"),
    [("abc", 3), ("a{3}b", 4), ("(ab){2,5}", 10), ("((ab){2}c){3}", 15), ("a|b*", 4), (".", 10), ("[^a]", 10),
     (r"\pL{3}", 300), (r"[\p{L}x]", 100), (r"\W", 10), ("[a-z]{2}", 2), ("a{0}", 1), ("a{2,}", 2), ("{2}a", 1)],
)  # fmt: skip
def test_weights(source: str, weight: int) -> None:
    """A pattern weighs what it is long with its repetitions written out; classes of many characters weigh more."""
    assert _weight(source) == weight


def test_a_pattern_knows_what_it_weighs() -> None:
    """And what it was made of."""
    made = regex("(ab){2,5}", "x")
    assert (made.source, made.weight) == ("(ab){2,5}", 10)


def test_the_longest_pattern_may_be_had() -> None:
    """One that has as many characters as may be is read, and judged by its weight; a longer one is too long."""
    for length, told in ((MAX_LENGTH, "too large"), (MAX_LENGTH + 1, "too long")):
        with pytest.raises(Invalid) as caught:
            regex("a" * length, "x")
        assert told in caught.value.message


def test_nothing_backtracks() -> None:
    """The patterns that are known to explode are matched in linear time."""
    for source in ("^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "^(.*a){20}$", r"^(\w+\s?)*$"):
        assert not regex(source, "here").within("a" * 5000 + "!")


@pytest.mark.parametrize("opening", ["[", "[^", "[\\", "\\p{", "\\u{", "("])
def test_what_is_never_closed_costs_no_square(opening: str) -> None:
    """Reading a pattern takes time by its length, though each of its openings could go to its end."""
    spans = []
    for length in (MAX_LENGTH // 16, MAX_LENGTH):
        source, begun = opening * (length // len(opening)), time.process_time()
        for _ in range(3):
            with pytest.raises(Invalid):
                regex(source, "here")
        spans.append(time.process_time() - begun)
    assert spans[1] < 100 * max(spans[0], 0.001)  # 16 times as long; a square would take 256 times
