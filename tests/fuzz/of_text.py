"""What people type, and what they deliver as text: queries, patterns, addresses, Markdown, tables, differences."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from taskrepo import (
    charsets,
    destinations,
    dispatch,
    eventfilter,
    highlight,
    patterns,
    plain,
    query,
    rewording,
    structure,
    vocabulary,
)
from taskrepo.alignment import Steps, TooMuch
from taskrepo.documents import load_json
from taskrepo.editions import MAX_TEXT
from taskrepo.errors import Invalid
from taskrepo.evaluator import MATCHED, MAX_STEPS
from taskrepo.guard import MAX_PATH
from taskrepo.history import Entry
from taskrepo.model import File
from taskrepo.query import Query
from taskrepo.results import MAX_SCHEMA
from taskrepo.web import diffs, markdown, preview_data, previews, taskfilters
from tests.fuzz.harness import Harness, field, parts, text
from tests.fuzz.of_archives import PICTURES

PATH: Final = 240  # characters, as the schema of a manifest has it
NOW: Final = 1_800_000_000
ENTRY: Final = Entry("claim", "4k7q2m9x", "Count words", "claimed", "bob", "api", "published", "claimed")
QUERIES: Final = (
    "gold -label:old due:<2026-12-01", 'is:waiting "exact phrase" begin* 4k7q', "state:draft,published assignee:none",
    "priority:>=3 created:2026-01-01 -is:blocked blocker:4k7q2m9x", "数据 价格 label:\"a b\"",
    "with:bob reasoning:high",
)  # fmt: skip
FILTERS: Final = ("event:submitted,approved reviewer:me -via:git", 'label:"a b" task:4k7q state:draft',
    "actor:none from:")
PAGE: Final = """# Title\n\nText with `code`, *emphasis*, [a link](b.md "t") and ![a picture](c.png).\n
| a | b |\n|---|:-:|\n| 1 | ~~2~~ |\n\n> quote\n> 1. one\n>    - two\n\n```py\nx = 1\n```\n\n***\n<b>no</b> &amp; \\*\n
<https://example.org> a@b.example [r]\n\n[r]: http://example.org 'x'\n"""
TABLE: Final = 'name,"count, of",note\nMercury,0,"a ""small"" one"\nEarth;x,1,=1+1\n\n"many\nlines",2,\n'
DIFF: Final = (
    "--- a\n+++ b\n@@ -1,3 +1,3 @@\n same\n-old word here\n+new word here\n same\n\\ No newline at end of file\n"
)
KNOWN: Final = vocabulary.Vocabulary[int]()
KNOWN.learn(1, [(word, True) for word in ("gold", "silver", "correlation", "analysis", "數據", "naïve", "über")])


def search(data: bytes) -> None:
    """A query: planned, put in other words, and marked in a text."""
    said = text(data)
    query.states_listed(said)
    plan = query.plan(Query(said, reader="alice"))
    assert len(plan.clauses) <= 2 * query.MAX_CLAUSES
    marks = highlight.marks(query.parse(said))
    assert "".join(piece.text for piece in highlight.pieces("Gold über 4k7q", marks)) == "Gold über 4k7q"
    words = rewording.words_of(said)
    rewording.reworded(said, dict.fromkeys(words, "gold"))


def spelling(data: bytes) -> None:
    """A word that is spelt like others: each that is told is as near as was asked."""
    said = query.folded(text(data))[: query.MAX_TOKEN]
    for distance, words in enumerate(KNOWN.near(said, 2), 1):
        assert all(vocabulary.apart(said, word) == distance for word in words)


def cursor(data: bytes) -> None:
    """The place at which a list goes on."""
    plan = query.plan(Query("gold"))
    query.read_cursor(plan, text(data))


def marked(data: bytes) -> None:
    """What a query finds in a text, and where."""
    said, body = map(text, parts(data, 2))
    marks = highlight.marks(query.parse(said))
    highlight.pieces(body, marks)
    highlight.snippet(body, marks)
    highlight.id_pieces("4k7q2m9x", marks)
    list(query.tokens(body))
    query.title_key(body)


def _shown(data: bytes) -> None:
    """What a page of results does."""
    said, body = map(text, parts(data, 2))
    marks = highlight.marks(query.parse(said))
    highlight.pieces(body[: highlight.MAX_TEXT], marks)  # a title
    highlight.snippet(body, marks)


def event_filter(data: bytes) -> None:
    """Which events somebody wants to hear of."""
    wanted = eventfilter.parse_filter(text(data))
    wanted.matches(ENTRY, lambda: None, "bob")


def pattern(data: bytes) -> None:
    """A regular expression and a glob that somebody wrote, tried on a text."""
    source, body = map(text, parts(data, 2))
    with suppress(Invalid):
        patterns.regex(source, "schema.pattern").within(body)
    patterns.check_glob(source, "manifest.deliverables[0].path")
    patterns.glob(source).matches(body)


def _patterns(data: bytes) -> None:
    """A pattern as long as a schema may be, and a path as long as a manifest may have."""
    source, body = map(text, parts(data, 2))
    with suppress(Invalid):
        made = patterns.regex(source[:MAX_SCHEMA], "schema.pattern")
        made.within(body[: MATCHED * MAX_STEPS // made.weight])  # as `evaluator` counts
    patterns.check_glob(source[:PATH], "manifest.deliverables[0].path")
    patterns.glob(source[:PATH]).matches(body[:MAX_PATH])


def destination(data: bytes) -> None:
    """The address of a webhook, the number a name stands for, and when its receiver wants to hear again."""
    said = text(data)
    destinations.fault(said)
    destinations.literal(said)
    dispatch.retry_after(field(data), NOW)
    with suppress(Invalid):
        destinations.networks([said])
    found = destinations.destination(said)
    assert destinations.destination(f"{found.scheme}://{found.authority}{found.target}") == found


def moment(data: bytes) -> None:
    """A date and time, and when the first page of a list was asked."""
    said = text(data)
    assert 0 <= taskfilters.moment(said, NOW) <= NOW
    assert 0 <= plain.seconds(said, "due_at") < 253402300800


def list_address(data: bytes) -> None:
    """The address of a list of tasks, which is kept, and read again the same."""
    kept = taskfilters.kept(text(data), "alice", NOW)
    assert taskfilters.kept(kept, "alice", NOW) == kept
    filters = taskfilters.from_text(kept)
    taskfilters.chips(filters)
    taskfilters.choices(filters, ())
    taskfilters.orders(filters)


def page(data: bytes) -> None:
    """Markdown: no script, no tag that somebody wrote."""
    said = text(data)
    for made in (markdown.rendered(said), markdown.inline(said),
        markdown.document(said, lambda target: "/x" if target else "")):
        assert "<script" not in made and "javascript:" not in made.replace("javascript:", "", said.count("javascript:"))


def difference(data: bytes) -> None:
    """A unified difference, shown in both ways, and two lines compared by words."""
    said = text(data)
    for split in (False, True):
        diffs.difference(said, diffs.Room(), "a", split=split)
    old, _, new = said.partition("\n")
    diffs.marked(old, new, Steps(100_000))


def table(data: bytes) -> None:
    """A table, as it is shown, and compared with another."""
    old, new = map(text, parts(data, 2))
    with suppress(Invalid):
        preview_data.table(old)
    rows = structure.table(old), structure.table(new or old)
    with suppress(TooMuch):
        structure.table_changes(*rows, Steps(100_000))


def tree(data: bytes) -> None:
    """JSON and lines of JSON, as they are shown, and two documents compared."""
    for show in (preview_data.tree, preview_data.records):
        with suppress(Invalid):
            show(data)
    old, new = parts(data, 2)
    found = structure.json_changes(load_json(old, limit=1 << 22), load_json(new or b"{}", limit=1 << 22),
        Steps(100_000))
    for change in found.items:
        structure.spelt(change.path)


def _compared(data: bytes) -> None:
    """Two documents as large as are compared."""
    old, new = (load_json(each[:MAX_TEXT] or b"{}", limit=MAX_TEXT) for each in parts(data, 2))
    with suppress(TooMuch):
        structure.json_changes(old, new, Steps(100_000))


def preview(data: bytes) -> None:
    """A file of every type that is shown, and text of any encoding."""
    kind, head = parts(data, 2)
    name = text(kind) if head else "text/plain"
    head = head or data
    charsets.looks_like_text(charsets.decoded(head, cut=True).content)
    previews.pixels(name, head)
    previews.preview(File("input/a", "a", name, len(head) + len(data) % 2, "a" * 64), head, previews.Place("/d"))
    previews.linked(text(head), "input/a.md", lambda path: path)


def _said(*texts: str) -> Callable[[], tuple[bytes, ...]]:
    return lambda: tuple(said.encode() for said in texts)


_QUERY: Final = (
    *(f"{name}:".encode() for name in query._FIELDS), b'"', b"-", b"*", b",", b"<=", b">", b"none", b"me",
    b"2026-12-01", b"is:waiting", b"\xe6\x95\xb0",
)  # fmt: skip
_PATTERN: Final = (b"(a+)+$", b"[", b"]", b"(?=", b"(?:", b"\\d", b"\\p{L}", b"{1000}", b"**", b"?", b"|", b"^", b"$",
    b"\\1",
                   b"[!a]", b"\\u0041", b"(?P<n>", b"[[:alpha:]]", b"\0|\0", b"\\Q", b"\\C", b"{0,}")
_MARKDOWN: Final = (b"[", b"](", b")", b"`", b"*", b"_", b"~~", b"|", b"\n> ", b"\n- ", b"\n1. ", b"\n\n", b"<",
    b"&#0;", b"![",
                    b"\n[a]: ", b"\\", b"javascript:", b"\t", b"\n```", b"|-|", b"\n===", b"data:text/html,")
_CSV: Final = (b",", b";", b"\t", b"|", b'"', b'""', b"\n", b"\r\n", b"\r", b"\0", b"=", b"\0|\0", b"\xc2\xa0")

HARNESSES: Final = (
    Harness("search", search, _said(*QUERIES), _QUERY),
    Harness("spelling", spelling, _said("gold", "correlaton", "数据", "über"), (b"o", b"\xcc\x88", b"\xc3\xbc", b"ss")),
    Harness("cursor", cursor, lambda: (
        query.write_cursor(query.plan(Query("gold")), (NOW, 7, "4k7q2m9x")).encode(), json.dumps(["x", 1]).encode()),
        (b"-_", b"=", b"W10")),
    Harness("marked", marked, _said(*(f"{q}\0|\0Gold of the exact phrase, 数据 begins: über Straße" for q in QUERIES)),
            (*_QUERY, b"\0|\0", b"\xc4\xb0", b"\xef\xac\x81", b"\xcc\x88"), parse=_shown),
    Harness("event-filter", event_filter, _said(*FILTERS),
        (b"event:", b"actor:me", b"-", b",", b'"', b"none", b"state:")),
    Harness("pattern", pattern, _said("^a+$\0|\0aab", "artifacts/**/*.csv\0|\0artifacts/x/a.csv",
        r"^\d{4}-\w+\b\0|\x00",
            "[a-z]?[!b]*\0|\0ab"), _PATTERN, parse=_patterns, seconds=1.0),  # its steps are counted instead
    Harness("destination", destination, _said("https://example.org/hook?a=1", "http://[::ffff:127.0.0.1]:8080/",
        "127.1",
            "::ffff:10.0.0.1", "64:ff9b::7f00:1", "0x7f000001", "120", "Thu, 01 Jan 1970 00:02:00 GMT", "fd00::/8"),
            (b"http://", b"[", b"]", b"@", b"#", b":", b"%25", b"..", b"/", b"::", b"fe80::1%eth0", b"GMT", b"-0000")),
    Harness("moment", moment, _said("2026-12-01T09:00:00Z", "2026-12-01", "1799999000", "2026-12-01T09:00:00.5+02:00"),
            (b"T", b"Z", b"+23:59", b"0001-01-01", b"9999-12-31", b"-W01-1", b"24:00", b".", b"\xd9\xa3")),
    Harness("list-address", list_address, _said("q=gold&state=draft,published&sort=due",
        "mine=assignee&due=overdue&view=board",
            "assignee=none&priority=2&waiting=1&changed=day&label=a%20b"),
            (b"&", b"=", b"q=", b"%", b"%00", b"%ff", b"+", b"cursor=", b"at=1799999000", b"state=", b";")),
    Harness("page", page, _said(PAGE, "a"), _MARKDOWN, parse=lambda data: markdown.document(text(data), str)),
    Harness("difference", difference, _said(DIFF, "a b c d\na b x d"),
        (b"\n@@ -1 +1,0 @@\n", b"\n-", b"\n+", b"\n ", b"\n\\",
            b"\r", b"\xe2\x80\xae", b"@@ -9999999999,1 +1 @@"),
            parse=lambda data: diffs.difference(text(data), diffs.Room(), "a")),
    Harness("table", table, _said(TABLE, f"{TABLE}\0|\0{TABLE.replace('Earth', 'Mars')}x,y,z\n", "a\tb\n1\t2\n"), _CSV),
    Harness("json-tree", tree, _said('{"rows": [1, {"a": null}]}\0|\0{"rows": [1, {"a": 2}], "x y": "z"}',
        '{"a": 1}\n{"b": [2]}\n'),
            (b"{", b"[", b'"', b"\n", b"\0|\0", b"null", b",", b":", b"\\u202e"), parse=_compared),
    Harness("preview", preview, lambda: (*(f"{kind}\0|\0".encode() + made for kind, made in PICTURES.items()),
            b"text/csv\0|\0" + TABLE.encode(), b"text/markdown\0|\0" + PAGE.encode(),
            b'application/json\0|\0{"a": [1]}',
            b"text/plain\0|\0\xff\xfea\0b\0", b"application/x-ndjson\0|\0{}\n[]\n",
            b"text/x-diff\0|\0" + DIFF.encode()),
            (b"\0|\0", b"\xff\xd8", b"\xff\xc0", b"IHDR", b"VP8X", b"VP8L", b"GIF89a", b"ispe", b"\xfe\xff",
                b"\xef\xbb\xbf")),
)  # fmt: skip
