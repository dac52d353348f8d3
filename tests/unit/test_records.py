"""Cells that no spreadsheet takes for a formula, and that say what they said before."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrepo.records import FIELDS, guarded, heading, sound, unguarded, written

HOSTILE = ("=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''", " =1", "\u00a0=1", "a;=1", "a; -1", "a,=1", 'a"=1', "a|@x",
           "＝1", ";;=1", "=;=;'=", "\"'=", "-", "a, -5 degrees")  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_no_part_of_a_cell_begins_like_a_formula(text: str) -> None:
    """At its start, and after whatever some spreadsheet splits cells at, a ' stands before every sign of a formula."""
    cells = guarded(text).replace(";", "\n").replace(",", "\n").replace("|", "\n").replace('"', "\n").split("\n")
    assert not [cell for cell in cells if cell.strip(" \u00a0")[:1] in tuple("=+-@＝＋－＠")]
    assert unguarded(guarded(text)) == text


@given(st.text(alphabet=" \u00a0=+-@'\";|,ax＝"))
def test_what_was_guarded_is_read_back_exactly(text: str) -> None:
    """Whatever the text, taking the marks away again gives it."""
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("text", ["Count rows", "", "4k7q2m9x", "SHA256:a+/b", "2026-11-21T05:00:00Z", "50% half-way"])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """Ids, fingerprints, times and plain words need no mark."""
    assert guarded(text) == text


def test_a_record_is_one_line_in_either_form() -> None:
    """Whatever words it has; and a reader of CSV gets every field back."""
    record = {**dict.fromkeys(FIELDS), "position": 7, "words": '=cmd|"x",\n; -\u2028\x85 é'}
    json_line, csv_line = written(record, "jsonl"), written(record, "csv")
    assert json_line.count(b"\n") == csv_line.count(b"\n") == 1 and json_line.isascii()
    (heads, cells) = csv.reader(io.StringIO((heading("csv") + csv_line).decode(), newline=""))
    row = dict(zip(heads, cells, strict=True))
    assert row["position"] == "7" and row["task"] == "" and unguarded(row["words"]) == '=cmd|"x", ; - é'


def test_a_record_is_sound_if_it_was_read_and_its_signatures_count() -> None:
    """No signature of the actor is no fault; one that does not count is."""
    good = {"problem": None, "exchange_signature": "good", "actor_signature": None}
    assert sound(good) and sound({**good, "actor_signature": "good"})
    assert not sound({**good, "actor_signature": "wrong-key"}) and not sound({**good, "problem": "bad-commit: …"})
    assert not sound({**good, "exchange_signature": "retired-key"})
