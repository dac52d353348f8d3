"""Strict YAML and JSON: bytes ⇄ plain data (`dict`, `list`, `str`, `int`, `float`, `bool`, `None`).

* Hostile input costs little: size and depth are bounded before anything is built; anchors, aliases, tags, merge keys,
  duplicate keys, several documents, NaN and lone surrogates are refused with the line they are on.
* Only `true`/`false`, `null`, and decimal numbers are not text: `yes`, `012`, `1:30` and dates stay what was written.
* `dump_yaml` is canonical: the same data gives the same bytes, and `load_yaml(dump_yaml(x)) == x`.

>>> load_yaml(b"due: 2026-12-01\\nanswer: yes\\n")
{'due': '2026-12-01', 'answer': 'yes'}
"""

import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, NoReturn

from _ruamel_yaml import CEmitter, CParser
from ruamel.yaml import events as ev
from ruamel.yaml.error import YAMLError

from taskrepo import canonical
from taskrepo.errors import Invalid

MAX_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 40  # more than a manifest with the deepest result_schema has
MAX_JSON_DEPTH: Final = 64

_ESCAPE_ONLY: Final = re.compile("[^\t\n -~\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def load_yaml(data: bytes, where: str = "document", *, limit: int = MAX_BYTES) -> Any:
    """The one document in `data` (UTF-8, at most `limit` bytes). Raises `Invalid` naming `where` and the line."""
    text = _decode(data, where, limit)
    known = canonical.read(text)
    return _read_generally(text, where) if known is None else known


def load_json(data: bytes, where: str = "body", *, limit: int = MAX_BYTES) -> Any:
    """The JSON value in `data` (RFC 8259, UTF-8, at most `limit` bytes). Raises `Invalid` naming `where`."""
    text = _decode(data, where, limit)
    _check_nesting(text, where)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique(where),
            parse_constant=_no_constant(where),
            parse_int=_whole,
            parse_float=_finite,
        )
        if "\\ud" in text.lower():  # an escape may spell half of a surrogate pair, which no other tool can read
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except json.JSONDecodeError as error:
        raise Invalid("bad-json", where, f"is not JSON: {error}"[:200]) from None
    except ValueError as error:
        raise Invalid("bad-json", where, str(error)[:200]) from None


def dump_yaml(data: Any) -> bytes:
    """Canonical YAML: block style, keys in the order given, no line wrapping, literal blocks for text of many lines."""
    known = canonical.write(data)
    return _written_generally(data) if known is None else known.encode()


def dump_json(data: Any) -> bytes:
    """JSON for people to read: two spaces, keys in the order given, one final newline."""
    return json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False).encode() + b"\n"


def _decode(data: bytes, where: str, limit: int) -> str:
    if len(data) > limit:
        raise Invalid("too-long", where, f"has {len(data)} bytes; at most {limit} are allowed", limit=limit)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid("bad-encoding", where, f"is not UTF-8 (byte {error.start})") from None
    if "\x00" in text:
        raise Invalid("bad-encoding", where, "contains a NUL character")
    return text


def _at(where: str, mark: Any) -> str:
    return f"{where}, line {mark.line + 1}" if mark is not None else where


# ── reading YAML ────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_generally(text: str, where: str) -> Any:
    parser = CParser(io.StringIO(text))
    try:
        return _document(parser, where)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or "cannot be read as YAML"
        raise Invalid("bad-yaml", _at(where, mark), str(problem)) from None
    finally:
        parser.dispose()


def _document(parser: Any, where: str) -> Any:
    parser.get_event()  # the stream's start
    if isinstance(parser.peek_event(), ev.StreamEndEvent):
        raise Invalid("bad-yaml", where, "is empty")
    parser.get_event()  # the document's start
    value = _node(parser, parser.get_event(), where, 0)
    parser.get_event()  # the document's end
    following = parser.get_event()
    if not isinstance(following, ev.StreamEndEvent):
        raise Invalid("bad-yaml", _at(where, following.start_mark), "holds a second document")
    return value


def _node(parser: Any, event: Any, where: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise Invalid("too-deep", _at(where, event.start_mark), f"is nested deeper than {MAX_DEPTH} levels")
    if isinstance(event, ev.AliasEvent) or event.anchor is not None:
        raise Invalid("bad-yaml", _at(where, event.start_mark), "anchors and aliases are not allowed")
    if event.tag is not None:
        raise Invalid("bad-yaml", _at(where, event.start_mark), "tags are not allowed")
    if isinstance(event, ev.ScalarEvent):
        return _scalar(event)
    if isinstance(event, ev.SequenceStartEvent):
        return list(_items(parser, where, depth))
    return _mapping(parser, where, depth)


def _items(parser: Any, where: str, depth: int) -> Iterator[Any]:
    while not isinstance(event := parser.get_event(), ev.SequenceEndEvent):
        yield _node(parser, event, where, depth + 1)


def _mapping(parser: Any, where: str, depth: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    while not isinstance(event := parser.get_event(), ev.MappingEndEvent):
        key = _node(parser, event, where, depth + 1)
        if not isinstance(key, str) or key == "<<":
            raise Invalid("bad-yaml", _at(where, event.start_mark), "a key must be plain text")
        if key in result:
            raise Invalid("bad-yaml", _at(where, event.start_mark), f"the key {key[:60]!r} is given twice")
        result[key] = _node(parser, parser.get_event(), where, depth + 1)
    return result


def _scalar(event: Any) -> Any:
    value: str = event.value
    if not event.implicit[0]:  # quoted
        return value
    return canonical.resolved(value)


# ── writing YAML ────────────────────────────────────────────────────────────────────────────────────────────────────


def _written_generally(data: Any) -> bytes:
    out = io.BytesIO()
    emitter = CEmitter(out, width=1 << 30, allow_unicode=True, encoding="utf-8")
    try:
        for event in _events(data):
            emitter.emit(event)
    finally:
        emitter.dispose()
    return out.getvalue()


def _events(data: Any) -> Iterator[Any]:
    yield ev.StreamStartEvent(encoding="utf-8")
    yield ev.DocumentStartEvent(explicit=False)
    yield from _node_events(data)
    yield ev.DocumentEndEvent(explicit=False)
    yield ev.StreamEndEvent()


def _node_events(data: Any) -> Iterator[Any]:
    if isinstance(data, str):
        yield _text_event(data)
    elif isinstance(data, Mapping):
        yield ev.MappingStartEvent(None, None, True, flow_style=not data)
        for key, value in data.items():
            yield _text_event(key)
            yield from _node_events(value)
        yield ev.MappingEndEvent()
    elif isinstance(data, Sequence):
        yield ev.SequenceStartEvent(None, None, True, flow_style=not data)
        for item in data:
            yield from _node_events(item)
        yield ev.SequenceEndEvent()
    else:
        yield ev.ScalarEvent(None, None, (True, False), _number(data))


def _number(data: bool | int | float | None) -> str:
    """As every YAML reader takes it for a number: YAML 1.1 wants a point before an exponent."""
    text = json.dumps(data, allow_nan=False)
    return text.replace("e", ".0e") if isinstance(data, float) and "e" in text and "." not in text else text


def _text_event(text: str) -> Any:
    if canonical.is_plain(text):
        return ev.ScalarEvent(None, None, (True, True), text)
    literal = "\n" in text and not _ESCAPE_ONLY.search(text) and not text.startswith((" ", "\t", "\n"))
    return ev.ScalarEvent(None, None, (False, True), text, style="|" if literal else '"')


# ── reading JSON ────────────────────────────────────────────────────────────────────────────────────────────────────

# Linear also if a quote is never closed.
_STRINGS: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKETS: Final = bytes({*range(256)} - {*b"[]{}"})
_STEPS: Final = {**dict.fromkeys(b"[{", 1), **dict.fromkeys(b"]}", -1)}


def _check_nesting(text: str, where: str) -> None:
    """Refuse deep nesting before the recursive parser sees it."""
    if text.count("[") + text.count("{") <= MAX_JSON_DEPTH:
        return  # most texts, and a long one is not walked through
    brackets = _STRINGS.sub("", text).encode().translate(None, _NO_BRACKETS)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_JSON_DEPTH:
        raise Invalid("too-deep", where, f"is nested deeper than {MAX_JSON_DEPTH} levels")


def _unique(where: str) -> Any:
    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            seen = Counter(key for key, _ in pairs)
            raise Invalid("bad-json", where, f"the key {seen.most_common(1)[0][0][:60]!r} is given twice")
        return result

    return build


def _no_constant(where: str) -> Any:
    def refuse(name: str) -> NoReturn:
        raise Invalid("bad-json", where, f"{name} is not JSON")

    return refuse


def _whole(digits: str) -> int:
    if len(digits) > 19:
        raise ValueError("a number has more than 19 digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number is out of range")
    return value
