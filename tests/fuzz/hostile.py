"""Inputs of a megabyte made to be slow or to grow, for each harness: what they cost is bounded, whatever they say.

* `cases(harness)` has the same shapes for every grammar (one byte, one word, one seed over and over, nothing but
  openings) and those that are worst for it: nesting, many members, many trailers, bombs, patterns that go back.
* Each input is of at most `SIZE` bytes.

>>> len(cases(HARNESSES["json"])["'[' over and over"]) == SIZE                                # doctest: +SKIP
True
"""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Final

from taskrepo.package import attributes
from tests.fuzz.harness import CUT, Harness
from tests.fuzz.of_http import FORM
from tests.fuzz.of_ledger import ASKED, BOB, MESSAGES
from tests.support import specimens

SIZE: Final = 1 << 20
_PART: Final = b'--XYZ\r\nContent-Disposition: form-data; name="a"'


def filled(piece: bytes, head: bytes = b"", tail: bytes = b"") -> bytes:
    """As many of the piece as fit between head and tail."""
    return head + piece * ((SIZE - len(head) - len(tail)) // len(piece)) + tail


def numbered(template: bytes, between: bytes = b"", head: bytes = b"", tail: bytes = b"", size: int = SIZE) -> bytes:
    """As many as fit of a template with a number in it."""
    room, made = size - len(head) - len(tail), []
    for number in range(size):
        piece = template % number + between
        room -= len(piece)
        if room < 0:
            break
        made.append(piece)
    return head + b"".join(made).removesuffix(between) + tail


def cases(harness: Harness, *, own: bool = False) -> Mapping[str, bytes]:
    """The inputs for a harness, by what they are; or only its `own`."""
    if own:
        return {name: make()[:SIZE] for name, make in _OWN.get(harness.name, {}).items()}
    seeds = list(harness.seeds())
    found = {"bytes of every kind": bytes(range(256)) * (SIZE // 256), "nothing": b""}
    for piece in (b"a", b"\0", b"\n", b" ", b"\xff", "é".encode(), b"0", b"a ", b"a\n", b"'", b'"', b"\\", b"(", b"[",
        b"{", b"<"):
        found[f"{piece!r} over and over"] = filled(piece)
    for number, seed in enumerate(seeds[:6]):
        if seed:
            found[f"seed {number} over and over"] = filled(seed)
            found[f"seed {number}, and much behind it"] = filled(b"a", seed)[:SIZE]
            found[f"seed {number}, stretched in its middle"] = filled(b"a", seed[: len(seed) // 2],
                seed[len(seed) // 2 :])
    for word in harness.words:
        found[f"the word {word[:20]!r} over and over"] = filled(word)
    for name, make in _OWN.get(harness.name, {}).items():
        found[name] = make()
    return {name: data[:SIZE] for name, data in found.items()}


# ── what is worst for one grammar ───────────────────────────────────────────────────────────────────────────────────


def _nested(opening: bytes, middle: bytes, closing: bytes) -> bytes:
    count = (SIZE - len(middle)) // (len(opening) + len(closing))
    return opening * count + middle + closing * count


def _signed(message: bytes) -> bytes:
    person = b"bob <bob@taskrepo.invalid> 1763690000 +0000"
    payload = b"tree %s\nparent %s\nauthor %s\ncommitter %s\n\n" % (b"a" * 40, b"b" * 40, person, person) + message
    return payload.replace(b"\n\n", b"\ngpgsig " + BOB.sign(payload).rstrip().replace(b"\n", b"\n ") + b"\n\n", 1)


def _schema(value: object, data: bytes = b"{}") -> bytes:
    return json.dumps(value).encode() + CUT + data


def _rows(count: int = 0) -> bytes:
    return numbered(b"%d,a b c,x\n", head=b"id,name,note\n", size=count or SIZE)


def _bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bundle:
        bundle.writestr("manifest.yaml", b"title: t\ndescription: d\n")
        for number in range(20):
            bundle.writestr(f"input/{number}", bytes(48 << 20))
    return out.getvalue()


def _within(count: int) -> bytes:
    made = specimens.pe()
    for depth in range(count):
        made = specimens.zipped({f"{depth}.zip": made})
    return made


_Cases = dict[str, Callable[[], bytes]]
_DEEP: Final[_Cases] = {
    "deep lists": lambda: _nested(b"[", b"1", b"]"),
    "deep objects": lambda: _nested(b'{"a":', b"1", b"}"),
    "many keys": lambda: numbered(b'"k%d":1', b",", b"{", b"}"),
    "many equal keys": lambda: filled(b'"k":1,', b"{", b'"k":1}'),
    "a long list": lambda: filled(b"1,", b"[", b"1]"),
    "a list of objects": lambda: filled(b'{"a":{}},', b"[", b"1]"),
    "long numbers": lambda: filled(b"9", b"[", b"]"),
    "a long text": lambda: filled(b"a", b'"', b'"'),
    "escapes": lambda: filled(b"\\u00e9", b'"', b'"'),
    "surrogates": lambda: filled(b"\\ud83d\\ude00", b'"', b'"'),
}
_YAML: Final[_Cases] = {
    "deep flow": lambda: _nested(b"[", b"1", b"]"),
    "deep blocks": lambda: b"".join(b" " * n + b"a:\n" for n in range(1400)),
    "many keys": lambda: numbered(b"k%d: 1\n"),
    "many items": lambda: filled(b"- a\n"),
    "a long literal": lambda: filled(b"  a\n", b"a: |\n"),
    "a long plain text": lambda: filled(b"a ", b"a: "),
    "a billion laughs": lambda: b"a: &a [x]\n" + b"".join(b"%c: &%c [*%c,*%c]\n" % (i, i, i - 1,
        i - 1) for i in range(98, 122)),
    "quoted pairs": lambda: filled(b'"a": "b"\n'),
    "questions": lambda: filled(b"? "),
    "anchors": lambda: numbered(b"- &a%d x\n"),
    "flow pairs": lambda: filled(b"a: b, ", b"{", b"}"),
}
_MANIFEST: Final[_Cases] = _YAML | {
    "many labels": lambda: numbered(b"- l%d\n", head=b"title: t\ndescription: d\nlabels:\n"),
    "many deliverables": lambda: numbered(b"- path: artifacts/**/*%d*.csv\n",
        head=b"title: t\ndescription: d\ndeliverables:\n"),
    "unknown fields": lambda: numbered(b"x%d: 1\n", head=b"title: t\ndescription: d\n"),
    "a long title": lambda: filled(b"a", b"description: d\ntitle: "),
}
_BODY: Final[_Cases] = _DEEP | {
    "many tasks": lambda: filled(b'{"title":"t"},', b'{"origin":"mail","tasks":[', b'{"title":"t"}]}'),
    "many labels": lambda: numbered(b'"l%d"', b",", b'{"title":"t","description":"d","labels":[', b"]}"),
    "many uploads": lambda: filled(b'{"path":"a","sha256":"x"},', b'{"text":"t","uploads":[', b"1]}"),
    "unknown fields": lambda: numbered(b'"x%d":1', b",", b'{"title":"t",', b"}"),
    "long texts": lambda: filled(b"a\\r\\n", b'{"text":"', b'"}'),
    "equal entries": lambda: filled(b'"a",', b'{"blocked_by":[', b'"a"],"labels":["a","a"]}'),
}
_OWN: Final[Mapping[str, _Cases]] = {
    "commit": {
        "many parents": lambda: filled(b"parent " + b"b" * 40 + b"\n", b"tree " + b"a" * 40 + b"\n"),
        "a long signature": lambda: filled(b" a\n", b"tree " + b"a" * 40 + b"\ngpgsig x\n", b"\n"),
        "a long message": lambda: _signed(filled(b"a\n")[: SIZE - 1000]),
        "many trailers": lambda: _signed(filled(b"Task: 4k7q2m9x\n", MESSAGES[0])[: SIZE - 1000]),
        "a long name": lambda: filled(b"a", b"tree " + b"a" * 40 + b"\nauthor ", b" <a@b> 1 +0000\n"),
    },
    "message": {
        "many trailers": lambda: filled(b"Task: 4k7q2m9x\n", MESSAGES[0]),
        "a long subject": lambda: filled(b"a", b"claim 4k7q2m9x: ", MESSAGES[0][27:]),
        "many empty lines": lambda: filled(b"\n", b"claim 4k7q2m9x: Count words", MESSAGES[0][27:]),
    },
    "request": {
        "a long message": lambda: _signed(filled(b"a\n", ASKED[5])[: SIZE - 1000]),
        "lines without end": lambda: _signed(filled(b"\n ", ASKED[5])[: SIZE - 1000]),
    },
    "words": {
        "many files": lambda: numbered(b"tasks/4/k/7/4k7q2m9x/input/%d\n", head=ASKED[2] + CUT),
        "empty lines": lambda: filled(b"\n", b"comment 4k7q:", b"x"),
        "spaces": lambda: filled(b" ", b"comment 4k7q: a", b"x"),
        "newlines and spaces": lambda: filled(b"\n \n", b"comment 4k7q: a", b"x"),
        "a long argument": lambda: filled(b"9", b"progress 4k7q ", b"%: x"),
    },
    "attributes": {
        "many lines": lambda: attributes([f"{number}.bin" for number in range(20_000)]),
        "escapes": lambda: filled(b"\\\\", b'"', b'" filter=lfs diff=lfs merge=lfs -text\n'),
    },
    "tree": {
        "many entries": lambda: numbered(b"100644 %d\0" + b"a" * 20),
        "a long name": lambda: filled(b"a", b"100644 ", b"\0" + b"a" * 20),
        "equal entries": lambda: filled(b"100644 a\0" + b"a" * 20),
    },
    "names": {
        "many names": lambda: numbered(b"input/%d.csv\n"),
        "deep folders": lambda: filled(b"a/"),
        "deep folders of many files": lambda: numbered(b"input/a/b/c/d/e/f/g/h/i/j/k/l/%d\n"),
        "accents": lambda: filled("a\u0301\u0323".encode()),
        "one letter with accents": lambda: filled("\u0301\u0323".encode(), b"a"),
        "names that fold alike": lambda: numbered("input/Å%d\n".encode()),
        "joiners": lambda: filled("\u200d".encode(), b".g", b"it"),
    },
    "cells": {"formulas": lambda: filled(b"=;"), "marked": lambda: filled(b"'=;"),
        "blanks": lambda: filled(b" ", b"a", b"=")},
    "pointer": {"extensions": lambda: filled(b"ext-0-a sha256:" + b"a" * 64 + b"\n",
        b"version https://git-lfs.github.com/spec/v1\n")},
    "signature": {"a long armor": lambda: filled(b"A" * 70 + b"\n", b"-----BEGIN SSH SIGNATURE-----\n",
        b"-----END SSH SIGNATURE-----\n")},
    "public-key": {"a long number": lambda: b"\0\0\0\x07ssh-rsa\0\0\0\x03\x01\0\x01\0\x0f\0\0" + b"\x7f" * 0xF0000},
    "yaml": _YAML, "canonical": _YAML, "manifest": _MANIFEST, "record": _YAML, "actor": _YAML, "policy": _YAML,
    "files": _YAML | {"many files": lambda: numbered(
        b'- path: input/%d\n  name: a\n  media_type: text/csv\n  size: 1\n  sha256: "' + b"a" * 64
        + b'"\n  kind: task_attachment\n'
        b'  by: alice\n  at: "2027-01-15T08:00:00Z"\n')},
    "entry": {"much text": lambda: filled(b"a\n", b'---\nkind: comment\nby: a\nat: "2027-01-15T08:00:00Z"\n---\n\n'),
              "many marks": lambda: filled(b"---\n\n", b"---\n"), **_YAML},
    "json": _DEEP, "command": _BODY, "schemas": _BODY, "personal": _BODY,
    "lfs-body": _DEEP | {"many objects": lambda: filled(b'{"oid":"a","size":1},', b'{"objects":[', b"{}]}")},
    "result": {
        "deep allOf": lambda: _schema({
            "$defs": {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)} | {"a40": {}},
            "$ref": "#/$defs/a0"}),
        "itself": lambda: _schema({"$ref": "#"}),
        "itself, in its items": lambda: _schema({"items": {"$ref": "#"}}, filled(b"[],", b"[", b"1]")[:900_000]),
        "unique rows": lambda: _schema({"uniqueItems": True}, numbered(b'{"a":%d}', b",", b"[", b"]", 900_000)),
        "unique lists": lambda: _schema({"uniqueItems": True}, numbered(b"[%d.5]", b",", b"[", b"]", 900_000)),
        "a pattern that goes back": lambda: _schema({"items": {"pattern": "^(a+)+$"}},
            filled(b"a", b'["', b'!"]')[:900_000]),
        "many names": lambda: _schema({"patternProperties": {f"^a{n}.*b$": {} for n in range(50)}},
                                      numbered(b'"a%d":1', b",", b"{", b"}", 900_000)),
        "a large repeat": lambda: _schema({"pattern": "(a{1,900}){1,900}"}, filled(b"a", b'"', b'"')[:900_000]),
        "many rows": lambda: _schema({"items": {"type": "object", "required": ["a"],
            "properties": {"a": {"type": "string"}}}},
                                     filled(b'{"a":1},', b"[", b"1]")[:900_000]),
        "many anyOf": lambda: _schema({"items": {"anyOf": [{"const": n} for n in range(100)]}},
            filled(b"1,", b"[", b"1]")[:900_000]),
        "a deep result": lambda: _schema({"type": "object"}, _nested(b"[", b"1", b"]")[:900_000]),
        "an enum of many": lambda: _schema({"enum": list(range(3000))}, b"1"),
        "exact multiples": lambda: _schema({"items": {"multipleOf": 1e-300}}, filled(b"1e300,", b"[", b"1]")[:900_000]),
    },
    "search": {"many phrases": lambda: b'"a b c d e f g h i j k l" ' * 19, "many words": lambda: b"a " * 250,
               "commas": lambda: b"state:" + b"draft," * 80, "wildcards": lambda: b"a* " * 160},
    "marked": {"a word everywhere": lambda: filled(b"a ", b'"a a a a a a a b" a*' + CUT),
        "many letters": lambda: filled(b"a", b"a*" + CUT),
               "accents": lambda: filled("\u0301".encode(), b"a*\0|\0a"),
               "ligatures": lambda: filled("ﬃ".encode(), b"ffi" + CUT)},
    "pattern": {"goes back": lambda: filled(b"a", b"(a+)+$" + CUT, b"!"),
        "large repeats": lambda: filled(b"a", b"((a{1,30}){1,30})*b" + CUT),
                "many stars": lambda: filled(b"a/", b"**/*a*/**/*b*/*c" + CUT),
                "a long class": lambda: filled(b"a-z", b"[", b"]"),
                "deep groups": lambda: _nested(b"(", b"a", b")"), "alternatives": lambda: filled(b"a|"),
                "stars": lambda: filled(b"*"), "lookaheads": lambda: filled(b"(?=a)")},
    "page": {"brackets": lambda: filled(b"["), "images": lambda: filled(b"!["), "emphasis": lambda: filled(b"*a "),
        "mixed": lambda: filled(b"*_"),
             "quotes": lambda: filled(b">"), "deep quotes": lambda: filled(b"> " * 200 + b"a\n"),
             "backticks": lambda: numbered(b"`%d"),
             "tables": lambda: filled(b"|a" * 50 + b"\n", b"|a" * 50 + b"\n" + b"|-" * 50 + b"\n"),
             "links": lambda: filled(b"[a](b) "),
             "wide tables": lambda: b"|a" * 9000 + b"\n" + b"|-" * 9000 + b"\n" + b"|b\n" * 20_000,
             "references": lambda: numbered(b"[a%d]: b\n"), "used references": lambda: numbered(b"[a%d]: b\n\n[a1]\n"),
             "lists": lambda: filled(b"- "),
             "deep lists": lambda: b"".join(b" " * 2 * n + b"- a\n" for n in range(700)),
             "entities": lambda: filled(b"&amp;"), "autolinks": lambda: filled(b"<a:"), "html": lambda: filled(b"<!--"),
             "strikes": lambda: filled(b"~~a "), "a long line of escapes": lambda: filled(b"\\*"),
             "unclosed links": lambda: filled(b"[a]("),
             "numbers": lambda: filled(b"1. "), "rules": lambda: filled(b"* * *\n"), "mail": lambda: filled(b"<a@b "),
             "parens": lambda: filled(b"[](" + b"(" * 30)},
    "difference": {"many changes": lambda: filled(b"-a b c\n+a c d\n", b"--- a\n+++ b\n@@ -1,9 +1,9 @@\n"),
                   "long lines": lambda: b"--- a\n+++ b\n@@ -1 +1 @@\n-%s\n+%s" % (b"a b " * 99_000, b"a c " * 99_000),
                   "two long lines": lambda: b"a b c " * 80_000 + b"\n" + b"c b a " * 80_000,
                   "misleading": lambda: filled("\u202e".encode(), b"--- a\n+++ b\n@@ -1 +1 @@\n ")},
    "table": {"many rows": lambda: _rows(),
              "two tables": lambda: _rows(500_000) + CUT + _rows(400_000).replace(b"a b", b"b a"),
              "rows turned round": lambda: _rows(300_000) + CUT + b"\n".join(sorted(_rows(300_000).split(b"\n"))[::-1]),
              "wide rows": lambda: filled(b","), "wide": lambda: b"a," * 60 + b"\n" + b"1," * 400_000,
              "quotes": lambda: filled(b'"",'),
              "an open quote": lambda: filled(b"a\n", b'"'),
              "equal rows": lambda: filled(b"a,a\n") [:500_000] + CUT + filled(b"a,b\n")[:400_000],
              "many columns": lambda: b",".join(b"c%d" % n for n in range(200)) + b"\n" + (b"1," * 200 + b"\n") * 1200},
    "json-tree": _DEEP | {"two lists": lambda: filled(b"1,", b"[",
        b"1]")[:500_000] + CUT + b"[" + b"2," * 200_000 + b"2]",
                     "two lists of objects": lambda: numbered(b'{"a":%d}', b",", b"[", b"]", 500_000) + CUT
                     + numbered(b'{"a":%d,"b":1}', b",", b"[", b"]", 500_000), "lines": lambda: filled(b"{}\n")},
    "preview": {"a long text": lambda: filled(b"a\n", b"text/plain" + CUT),
        "Markdown": lambda: filled(b"*a [b](c) ", b"text/markdown" + CUT),
                "a table": lambda: b"text/csv" + CUT + _rows()[: SIZE - 20],
                "JSON": lambda: filled(b"[1],", b"application/json" + CUT + b"[", b"1]"),
                "lines": lambda: filled(b'{"a":1}\n', b"application/x-ndjson" + CUT),
                "escapes": lambda: filled("\u202e".encode(), b"text/plain" + CUT),
                "a difference": lambda: filled(b"-a\n+b\n", b"text/x-diff" + CUT + b"--- a\n+++ b\n@@ -1 +1 @@\n"),
                "a picture": lambda: filled(b"ispe" + bytes(12), b"image/avif" + CUT),
                "UTF-16": lambda: filled(b"a\0", b"text/plain" + CUT + b"\xff\xfe"),
                "JPEG": lambda: filled(b"\xff\xe0\0\2", b"image/jpeg" + CUT + b"\xff\xd8")},
    "head": {"many fields": lambda: filled(b"a: b\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n", b"\r\n"),
        "a long field": lambda: filled(b"a", b"GET / HTTP/1.1\r\nHost: "),
             "a long target": lambda: filled(b"a", b"GET /", b" HTTP/1.1\r\nHost: a\r\n\r\n"),
             "blanks": lambda: filled(b" ", b"GET / HTTP/1.1\r\nHost: a\r\nX:", b"x\r\n\r\n")},
    "chunked": {"chunks of a byte": lambda: filled(b"1\r\na\r\n", b"\xff", b"0\r\n\r\n"),
        "trailers": lambda: filled(b"a: b\r\n", b"\xff0\r\n"),
                "extensions": lambda: filled(b";a=b", b"\xff1"),
                "read by single bytes": lambda: b"\0" + b"40000\r\n" + bytes(0x40000) + b"\r\n0\r\n\r\n"},
    "form": {"many parts": lambda: filled(_PART + b"\r\n\r\n\r\n", b"", b"--XYZ--\r\n"),
             "many files": lambda: filled(_PART + b'; filename="a"\r\n\r\nx\r\n', b"", b"--XYZ--\r\n"),
             "many headers": lambda: filled(b"a: b\r\n", b'--XYZ\r\nContent-Disposition: form-data; name="a"\r\n'),
             "near boundaries": lambda: filled(b"\r\n--XY", FORM[:-7]),
             "carriage returns": lambda: filled(b"\r", FORM[:-7]),
             "parameters": lambda: filled(b'; a="b"', b"multipart/form-data", CUT + FORM),
             "backslashes": lambda: filled(
                 b"\\", b'--XYZ\r\nContent-Disposition: form-data; name="', b'"\r\n\r\n')},
    "conditions": {"many tags": lambda: filled(b'"a", ', b"", b'"b"'), "open tags": lambda: filled(b'"a'),
        "weak tags": lambda: filled(b'W/"a",'),
                   "backslashes": lambda: filled(b"\\\\", b'"', b'"'), "blanks": lambda: filled(b" ", b'"a"', b"x"),
                   "digits": lambda: filled(b"9", b"bytes=0-")},
    "fields": {"many parts": lambda: filled(b"a/b,"), "many cookies": lambda: filled(b"a=b; "),
        "percents": lambda: filled(b"%e9"),
               "parameters": lambda: filled(b"q=a&"), "colons": lambda: filled(b"a=b:"),
               "Basic": lambda: filled(b"AAAA", b"Basic ")},
    "list-address": {"parameters": lambda: filled(b"q=a&"), "states": lambda: filled(b"draft,", b"state=")},
    "disposition": {"accents": lambda: filled("\u0301\u0323".encode(), b"a"), "dots": lambda: filled(b"."),
        "ligatures": lambda: filled("\ufdfa".encode())},
    "inflated": {"a bomb": lambda: gzip.compress(bytes(512 << 20), 9)[:SIZE],
        "many streams": lambda: filled(gzip.compress(b"a"))},
    "packets": {"empty packets": lambda: filled(b"0004"), "a long one": lambda: filled(b"a", b"ffff")},
    "answered": {"deep": lambda: _nested(b"[", b"1", b"]"),
        "deep problem": lambda: b"409" + CUT + _nested(b"[", b"1", b"]")[: SIZE - 10]},
    "zip": {"a bomb": _bomb, "many entries": lambda: specimens.zipped({f"input/{n}": b"" for n in range(9000)}),
            "ends": lambda: filled(b"PK\5\6" + bytes(18)),
            "long names": lambda: specimens.zipped({f"input/{'a' * 60_000}{n}": b"" for n in range(8)})},
    "tar": {"a bomb": lambda: gzip.compress(specimens.tarred({"manifest.yaml": b"title: t\ndescription: d\n",
        "input/a": bytes(200 << 20)}), 9),
            "many entries": lambda: specimens.tarred({f"input/{n}": b"" for n in range(2000)}),
            "extended headers": lambda: filled(specimens.tarred({"input/" + "a" * 200: b""})[:1024])},
    "inside": {"a bomb": _bomb, "a small bomb in a bomb": lambda: specimens.zipped({"a.zip": _bomb()}),
        "nested": lambda: _within(30),
               "ends": lambda: filled(b"PK\5\6" + bytes(18)),
               "many entries": lambda: specimens.zipped({f"{n}": b"" for n in range(9000)}),
               "gzip of nothing": lambda: gzip.compress(bytes(60 << 20), 9),
               "many streams": lambda: filled(gzip.compress(b"a")),
               "tar of empty files": lambda: specimens.tarred({f"{n}": b"" for n in range(2000)}), "ar": lambda: filled(
                   f"{'a/':<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{0:<10}`\n".encode(), b"!<arch>\n")},
    "contents": {"many entries": lambda: specimens.zipped({f"{n}": b"" for n in range(9000)}),
        "a bomb": lambda: gzip.compress(bytes(400 << 20), 9),
                 "tar of empty files": lambda: specimens.tarred({f"{n}": b"" for n in range(2000)})},
    "listing": {"a bomb": _bomb, "many entries": lambda: specimens.zipped({f"{n}": b"" for n in range(9000)}),
        "ends": lambda: filled(b"PK\5\6" + bytes(18))},
}  # fmt: skip
