"""Previews of files: what they show of good files, what they say of broken ones, and that nothing gets through."""

import gzip
import io
import json
import re
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrepo import formats, guard
from taskrepo.commands import Comment
from taskrepo.errors import Invalid
from taskrepo.model import File, Manifest
from taskrepo.web import markdown, preview_archives, preview_data, preview_text, previews
from taskrepo.web.filepages import page_address
from taskrepo.web.preview_archives import contents, kind_of
from taskrepo.web.previews import HEAD, Place, Preview, linked, preview
from tests.support.http import Site, running
from tests.support.ledgers import upload
from tests.support.person import Person

DOWNLOAD = "/tasks/4k7q2m9x/files/input/f"
TAGS = frozenset([
    "a", "blockquote", "br", "code", "del", "details", "div", "em", "h3", "h4", "h5", "h6", "hr", "img", "li", "ol",
    "p", "pre", "s", "span", "strong", "summary", "table", "tbody", "td", "th", "thead", "tr", "ul",
])  # fmt: skip
ATTRIBUTES = frozenset([
    "alt", "aria-label", "class", "decoding", "height", "href", "id", "open", "rel", "role", "scope", "src", "start",
    "tabindex", "title", "width",
])  # fmt: skip


class Checked(HTMLParser):
    """Reads a preview, and fails at any element or attribute that previews do not have."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.links, self.pictures = "", [], []  # type: str, list[str], list[str]
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        assert tag in TAGS, tag
        assert known.keys() <= ATTRIBUTES, known
        self.links += [known["href"]] if "href" in known else []
        self.pictures += [known["src"]] if "src" in known else []

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    handle_pi = unknown_decl = handle_comment

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(data: bytes, path: str = "input/f.txt", media_type: str = "", size: int | None = None) -> Preview:
    """The preview of a file of this content, typed as an upload is."""
    kind = media_type or guard.media_type(data[: guard.HEAD], path)
    file = File(path, path.rpartition("/")[2], kind, len(data) if size is None else size, "0" * 64)
    made = preview(file, data[:HEAD], Place(DOWNLOAD, {"input/b.csv": "/tasks/x/view/input/b.csv"}.get))
    for html in (made.html, made.source):
        read = Checked(html)
        assert all(re.match("https?://|mailto:|/tasks/x/view/", link) for link in read.links), read.links
        assert set(read.pictures) <= {DOWNLOAD}
    return made


def text_of(html: str) -> str:
    """What a reader reads of it."""
    return Checked(html).text


# ── text ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("Grüße 世界".encode(), "utf-8"), ("Grüße 世界".encode("utf-8-sig"), "utf-8"),
        ("Grüße 世界".encode("utf-16"), "utf-16-le"), (b"\xfe\xff" + "Grüße 世界".encode("utf-16-be"), "utf-16-be"),
        ("Grüße 世界".encode("utf-32"), "utf-32-le"), (b"\0\0\xfe\xff" + "Grüße 世界".encode("utf-32-be"), "utf-32-be"),
    ],
)  # fmt: skip
def test_encodings_with_marks(data: bytes, encoding: str) -> None:
    """Text is read by its byte order mark, and the page says as what."""
    assert preview_text.decoded(data) == ("Grüße 世界", encoding)
    made = shown(data, "input/a.txt")
    assert "Grüße 世界" in text_of(made.html)
    assert ("Read as" in " ".join(made.notes)) == (encoding != "utf-8")


def test_encodings_without_marks() -> None:
    """Without a mark it is UTF-8, UTF-16 with its zeros, or what browsers take for Latin text; never UTF-7."""
    assert preview_text.decoded("plain text".encode("utf-16-le")).encoding == "utf-16-le"
    assert preview_text.decoded("plain text".encode("utf-16-be")).content == "plain text"
    assert preview_text.decoded(b"caf\xe9 \x80 \x81") == ("café € \x81", "windows-1252")
    assert preview_text.decoded(b"\0\xd8\0\xd8a\0b\0").encoding == "windows-1252"
    assert preview_text.decoded(b"+ADw-script+AD4-").content == "+ADw-script+AD4-"
    assert preview_text.decoded("aä".encode()[:-1]).encoding == "windows-1252"
    assert preview_text.decoded("aä".encode()[:-1], cut=True) == ("a", "utf-8")


def test_unseen_characters_are_spelt_out() -> None:
    """Controls, direction marks, tags and blanks are shown by code point; letters, emoji and accents stay."""
    html = preview_text.visible("a\u202eb\x07\x1b[2J\u200b\ufeff\u2066\U000e0041 é 👩\u200d💻 سلام")
    assert text_of(html) == "aU+202EbU+0007U+001B[2JU+200BU+FEFFU+2066U+E0041 é 👩\u200d💻 سلام"
    assert 'title="RIGHT-TO-LEFT OVERRIDE"' in html
    assert preview_text.visible("\u202e" * 6000).count("span class") == preview_text.MAX_MARKS


def test_lines() -> None:
    """Lines are numbered however they end, and cut at the limit, which is said."""
    assert preview_text.split("a\r\nb\nc\n") == ["a", "b", "c"]
    assert preview_text.split("") == []
    assert preview_text.split("a\r\n") == ["a"]
    assert 'id="L2">b' in preview_text.lines("a\nb").html
    many = shown(b"x\n" * 6000)
    assert many.html.count("<span") == 5000
    assert many.notes == ("Only the first 5000 of 6000 lines are shown.",)
    assert shown(b"x" * 300_000).notes == ("Only the first 256 KiB are shown.",)
    assert shown(b"").notes == ("The file is empty.",)


def test_diff() -> None:
    """Each line of a diff has the class of what it does, and still its sign."""
    made = shown(b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-<b>\n+<i>\n same\n", "input/a.diff")
    assert re.findall('class="line(?: ([a-z]*))?"', made.html) == ["meta", "meta", "meta", "hunk", "del", "add", ""]
    assert "-<b>\n+<i>\n same" in text_of(made.html)


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.xml", "a.js", "a.css", "a.xhtml", "a.py", "a.mhtml", "a"])
def test_active_text_is_only_text(name: str) -> None:
    """HTML, SVG, XML and scripts are shown as their source."""
    source = "<svg onload=alert(1)><script>alert(2)</script><?x?><!-- -->&lt;"
    made = shown(source.encode(), f"input/{name}")
    assert text_of(made.html) == source + "\n"


def test_what_is_no_text() -> None:
    """PDF, sound, programs and unknown bytes have no preview; a stray control does not make text binary."""
    for data, name in ((b"%PDF-1.7", "a.pdf"), (b"\x7fELF" + bytes(60), "a"), (bytes(range(256)), "a.bin")):
        assert shown(data, f"input/{name}") == Preview()
    assert "U+0007" in shown(b"ring \x07 the bell" + b"." * 80, "input/a.py").html
    assert shown(b"\xff\xfea\0", "input/a.dat").html
    assert shown(b"caf\xe9", "input/a.unknown").notes == ("Read as windows-1252.",)


# ── Markdown ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_markdown() -> None:
    """Markdown is laid out, its source folded below; a long one is cut, and a broken one cannot be."""
    made = shown(b"# Hi\n\n[b](b.csv) [no](no.csv) [off](https://example.org) ![p](b.csv)\n", "input/a.md")
    assert Checked(made.html).links == ["/tasks/x/view/input/b.csv", "https://example.org", "/tasks/x/view/input/b.csv"]
    assert "<h3>Hi</h3>" in made.html
    assert " no " in text_of(made.html)
    assert "# Hi" in text_of(made.source)
    assert "30000 characters" in shown(b"word " * 10_000, "input/a.md").notes[0]
    assert shown(b"x\n\n" * 6000, "input/a.md").notes == ()


@pytest.mark.parametrize(
    ("target", "leads"),
    [
        ("b.csv", "found"), ("./b.csv?x=1#y", "found"), ("/input/b.csv", "found"), ("../input/b.csv", "found"),
        ("%62.csv", "found"), ("../../../../input/b.csv", "found"), ("b.CSV", ""), ("", ""), ("#top", ""), ("?x", ""),
        ("//evil.example/b.csv", ""), ("http:b.csv", ""), ("https:///b.csv", ""), ("javascript:alert(1)", ""),
        ("data:text/html,x", ""), ("JaVaScRiPt:1", ""), ("vbscript:x", ""), ("file:///etc", ""), ("http://[", ""),
        ("\\\\evil.example\\b.csv", ""), ("/\\evil.example", ""), ("blob:x", ""), ("/logout", ""), ("..", ""),
        ("https://example.org/x", "https://example.org/x"), ("mailto:a@example.org", "mailto:a@example.org"),
    ],
)  # fmt: skip
def test_links(target: str, leads: str) -> None:
    """A link leads to a neighbour's page, elsewhere by http or mail, or nowhere at all."""
    assert linked(target, "input/a.md", {"input/b.csv": "found"}.get) == leads


def test_plain_markdown_is_as_before() -> None:
    """Texts that are no files keep their links as they were."""
    assert 'href="b.csv"' in markdown.rendered("[b](b.csv)")
    assert markdown.document("![x](y) **z**", lambda target: "") == "<p>x <strong>z</strong></p>\n"
    assert markdown.document("[*a* ![i](u)](u) <http://x.y>", lambda target: "") == "<p><em>a</em> i http://x.y</p>\n"


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ("a,b\n1,2\n", ","), ("a;b\n1,5;2\n", ";"), ("a\tb\n", "\t"), ("a|b|c\n1|2|3", "|"), ("plain", ","), ("", ","),
        ('"a,b,c";2\n"x,y,z";3\n', ";"), ('"never, closed; one\n' * 3, ";"),
    ],
)  # fmt: skip
def test_delimiters(text: str, separator: str) -> None:
    """The separator is what the lines have most evenly outside quotes."""
    assert preview_data.delimiter(text) in (separator, ",")
    assert (preview_data.delimiter(text) == separator) or "never" in text


def test_table() -> None:
    """Rows and columns become a table with a head; markup is text; what is cut is said."""
    made = shown(b'name,"note ""x"""\n<b>,"two\nlines"\n', "input/a.csv")
    assert '<th scope="col">note &quot;x&quot;</th>' in made.html
    assert "<td>&lt;b&gt;</td><td>two\nlines</td>" in made.html
    assert made.notes == ()
    wide = preview_data.table(("," * 60 + "\n") + ("y" * 400 + "\n") * 600)
    assert wide.notes == (
        "Only the first 500 rows are shown.", "Only the first 50 of 61 columns are shown.",
        "Cells are shown up to 300 characters.",
    )  # fmt: skip
    assert wide.html.count("<tr>") == 500
    assert shown(b"a\tb,c\n", "input/a.tsv").html.count('scope="col"') == 2


def test_a_cut_table_has_whole_rows() -> None:
    """Of a file too long to be read, the last row may be half of one, and is left out."""
    made = shown(b"a,b\n" + b"1,2\n" * 3, "input/a.csv", size=10**6)
    assert made.html.count("<tr>") == 3
    assert made.notes == ("Only the first 0 KiB are shown.",)
    assert "it has no rows" in shown(b"half a row", "input/a.csv", size=10**6).fault
    long = shown(b"a,b\n" + b"1,2\n\n" * 600, "input/a.csv", size=10**6)
    assert (long.html.count("<tr>"), long.notes[-1]) == (500, "Only the first 500 rows are shown.")


@pytest.mark.parametrize(
    ("cell", "formula"),
    [
        ("=1+1", True), ("+cmd|' /C calc'!A0", True), ("-2+3", True), ("@SUM(A1)", True), ("\t=1", True), (" =1", True),
        ("-1.5", False), ("+49 30 123", False), ("-", False), ("=", False), ("-3,2 %", False), ("a=1", False),
        ("", False), ("-1e-5", False), ("\r=1", True),
    ],
)  # fmt: skip
def test_formulas(cell: str, formula: bool) -> None:
    """What a spreadsheet would compute is told from numbers and dashes."""
    assert preview_data.is_formula(cell) == formula


def test_formulas_are_marked() -> None:
    """A cell that looks like a formula is text with a mark, and the page says why."""
    made = shown(b"a,b\n=1+1,-5\n", "input/a.csv")
    assert '<td class="formula">=1+1</td><td class="number">-5</td>' in made.html
    assert made.notes == ("A spreadsheet may take the marked cells for formulas.",)


def test_broken_tables() -> None:
    """A table that cannot be read is shown as text, with the reason."""
    made = shown(b'a,b\n"' + b"x" * 200_000 + b'"\n', "input/a.csv")
    assert made.fault.startswith("This cannot be shown as a table: line ")
    assert made.html.startswith("<pre")
    assert "it has no rows" in shown(b"\n\n", "input/a.csv").fault


# ── trees ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tree() -> None:
    """JSON becomes a tree that folds from the third level on; texts and numbers are as they were."""
    made = shown(json.dumps({"<k>": [1, 2.5, None, True, "</script>", {}, [{"x": {"y": 1}}]]}).encode(), "input/a.json")
    text = text_of(made.html)
    assert "1 member<k> 7 items0 11 2.52 null3 true4 “</script>”5 {}6 1 item0 1 memberx 1 member" in text
    assert made.html.count("<details open>") == 2
    assert made.html.count("<details>") == 3
    assert text_of(made.source).startswith('{"<k>"')
    long = preview_data.tree(json.dumps(["x" * 4000]).encode())
    assert "…”" in long.html


def test_large_tree() -> None:
    """So many members are shown, and no more, whatever their shape."""
    for data in ([0] * 5000, [[0] * 10] * 5000, {str(n): {"x": n} for n in range(5000)}):
        made = preview_data.tree(json.dumps(data).encode())
        assert made.notes == ("Only the first 3000 members are shown.",)
        assert made.html.count("<li>") < 3100


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a": 1,}', "JSON"), (b"[" * 100_000, "64 levels"), (b'{"a":1,"a":2}', "given twice"), (b"[NaN]", "NaN"),
        (b"\xff[]", "UTF-8"), (b"", ""), (b"9" * 50, "19 digits"), (b'"\\ud800"', "surrogates"), (b"1 2", "Extra data"),
        (b"[" + b" " * 300_000 + b"]", "longer than 256 KiB"),
    ],
)  # fmt: skip
def test_broken_json(data: bytes, reason: str) -> None:
    """JSON that is broken, nested too deep or too long is shown as text, with the reason."""
    made = shown(data, "input/a.json", "application/json")
    assert made.fault.startswith("This cannot be shown as JSON: ")
    assert reason in made.fault
    assert made.html or not data


def test_json_lines() -> None:
    """JSON Lines are a tree for each line, up to a limit; one broken line is named."""
    made = shown(b'{"n": 1}\n\n[2]\r\n', "input/a.jsonl")
    assert "line 1 1 membern 1line 3 1 item0 2" in text_of(made.html)
    assert preview_data.records(b"1\n" * 300).notes == ("Only the first 200 of 300 lines are shown.",)
    assert "line 2: " in shown(b"1\n{\n", "input/a.jsonl").fault
    assert "no whole line" in shown(b"[1", "input/a.jsonl", size=10**6).fault
    assert shown(b"[1]\n[2", "input/a.jsonl", size=10**6).html.count("line 1") == 1
    with pytest.raises(Invalid):
        preview_data.records(b"\n")


# ── pictures ────────────────────────────────────────────────────────────────────────────────────────────────────────


def png(width: int, height: int) -> bytes:
    """The beginning of a PNG of this size."""
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)


JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0" + b"\0" * 9 + b"\xff\xc0\0\x11\x08\0\x30\0\x40" + b"\0" * 12
PICTURES = {
    "a.png": png(64, 48),
    "a.gif": b"GIF89a\x40\0\x30\0\0\0\0;",
    "a.jpg": JPEG,
    "lossy.webp": b"RIFF\x24\0\0\0WEBPVP8 " + b"\0" * 10 + b"\x40\0\x30\0",
    "lossless.webp": b"RIFF\x24\0\0\0WEBPVP8L\0\0\0\0/" + struct.pack("<I", 63 | 47 << 14) + b"\0" * 8,
    "extended.webp": b"RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x3f\0\0\x2f\0\0",
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(name: str) -> None:
    """A raster image is shown by its download address, in the size it declares."""
    made = shown(PICTURES[name], f"input/{name}")
    assert Checked(made.html).pictures == [DOWNLOAD]
    assert made.notes == ("64 × 48 pixels.",)
    assert 'width="64" height="48"' in made.html


def test_avif() -> None:
    """An AVIF is as large as the largest of its parts."""
    extents = [b"ispe\0\0\0\0" + struct.pack(">II", width, height) for width, height in ((8, 8), (64, 48))]
    data = b"\0\0\0\x1cftypavif" + b"".join(extents)
    assert shown(data, "input/a.avif", "image/avif").notes == ("64 × 48 pixels.",)


@pytest.mark.parametrize(
    ("data", "media_type", "reason"),
    [
        (png(60_000, 60_000), "image/png", "60000 × 60000 pixels"), (png(0, 5), "image/png", "0 × 5 pixels"),
        (png(10_000, 10_000), "image/png", "10000 × 10000"), (b"\x89PNG\r\n\x1a\n", "image/png", "cannot be read"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png", "cannot be read"), (b"GIF89a", "image/gif", "cannot be read"),
        (b"RIFF\0\0\0\0WEBPVP9 ", "image/webp", "cannot be read"), (b"\xff\xd8\xff", "image/jpeg", "cannot be read"),
        (b"\xff\xd8\xff\xe0\0\0\xff\xe0\0\0\0\0\0\0", "image/jpeg", "cannot be read"),
        (b"\xff\xd8" + b"\xff\xe0\0\0" * 60_000, "image/jpeg", "cannot be read"),
        (b"ftypavif", "image/avif", "cannot be read"), (b"ispe", "image/avif", "cannot be read"),
    ],
)  # fmt: skip
def test_pictures_that_cannot_be_shown(data: bytes, media_type: str, reason: str) -> None:
    """A picture that is broken, or a bomb in pixels, is not shown, and the page says why."""
    made = shown(data, "input/a", media_type)
    assert made.html == ""
    assert made.fault.startswith("This picture cannot be shown: ")
    assert reason in made.fault


def test_large_picture() -> None:
    """A picture of very many bytes is not shown."""
    assert "over 25 MiB" in shown(png(64, 48), "input/a.png", size=26 << 20).fault


def test_svg_is_never_a_picture() -> None:
    """SVG is source text, whatever it is called."""
    for name in ("a.svg", "a.png", "a.jpg"):
        assert Checked(shown(b"<svg xmlns='x'><script>1</script></svg>", f"input/{name}").html).pictures == []


# ── archives ────────────────────────────────────────────────────────────────────────────────────────────────────────


def zipped(entries: dict[str, bytes]) -> bytes:
    """A zip of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        for name, data in entries.items():
            bundle.writestr(name, data)
    return out.getvalue()


def tarred(*infos: tarfile.TarInfo, kind: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of these entries, with as many zeros in each as it declares."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as bundle:
        for info in infos:
            bundle.addfile(info, io.BytesIO(bytes(info.size)))
    return out.getvalue()


def entry(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    """One entry of a tar."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
    return info


def listed(data: bytes) -> list[tuple[str, int, str]]:
    """What the archive holds."""
    kind = kind_of(data)
    assert kind
    return [tuple(each) for each in contents(io.BytesIO(data), kind).entries]


def test_zip_contents() -> None:
    """A zip's entries are listed as they are declared, hostile names and all."""
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    out = io.BytesIO(zipped({"a.txt": b"12", "d/": b"", "../../x": b""}))
    with zipfile.ZipFile(out, "a") as bundle:
        bundle.writestr(link, "/etc")
    assert listed(out.getvalue()) == [
        ("a.txt", 2, "file"), ("d/", 0, "folder"), ("../../x", 0, "file"), ("link", 4, "link")
    ]  # fmt: skip
    assert listed(zipped({})) == []


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_tar_contents(kind: int) -> None:
    """A tar's entries are listed, with long names in either format, plain or gzipped."""
    long = "d/" + "n" * 150
    odd = entry("l", 0, tarfile.SYMTYPE), entry("p", 0, tarfile.FIFOTYPE)
    data = tarred(entry("a", 3), entry(long, 600), *odd, kind=kind)
    expected = [("a", 3, "file"), (long, 600, "file"), ("l", 0, "link"), ("p", 0, "device")]
    assert listed(data) == expected
    assert listed(gzip.compress(data)) == expected


def test_contents_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither entries, nor a table of contents, nor what is inflated has more than its bound."""
    many = contents(io.BytesIO(zipped({f"f{n}": b"" for n in range(1001)})), formats.ZIP)
    assert (len(many.entries), many.more) == (1000, True)
    assert "Only the first 1000 entries are shown." in previews.listing(many).notes
    monkeypatch.setattr(preview_archives, "MAX_READ", 1 << 20)
    bomb = gzip.compress(tarred(entry("zeros", 2 << 20)))
    with pytest.raises(Invalid, match="over 1 MiB"):
        contents(io.BytesIO(bomb), formats.GZIP)
    monkeypatch.setattr(preview_archives, "MAX_TABLE", 1000)
    with pytest.raises(Invalid, match="too long"):
        contents(io.BytesIO(zipped({f"f{n}": b"" for n in range(100)})), formats.ZIP)


def test_long_headers_are_not_held() -> None:
    """An extended header beyond what a name needs is not read."""
    with pytest.raises(Invalid, match="a size that none has"):
        listed(tarred(entry("x" * 100_000), entry("b", 1)))
    comment = tarred(entry("a"))
    assert listed(tarred(entry("pax", 0)).replace(b"pax\0", b"pax\0", 1)) == [("pax", 0, "file")]
    assert listed(comment) == [("a", 0, "file")]


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04", b"PK\x03\x04" + bytes(100), gzip.compress(b""), gzip.compress(b"no tar at all" * 100),
        b"\x1f\x8b\x08", gzip.compress(tarred(entry("a", 3)))[:-30], tarred(entry("a", 3))[:700],
        zipped({"a": b"1"})[:-5],
        tarred(entry("a", 3)).replace(b"00000000003", b"\xff" * 11, 1),
        b"PK\x05\x06" + bytes(6) + b"\xff\xff\xff\xff" + b"\xff" * 8 + bytes(0),
    ],
    ids=range(10),
)  # fmt: skip
def test_broken_archives(data: bytes) -> None:
    """An archive that cannot be read says so."""
    kind = kind_of(data)
    assert kind
    with pytest.raises(Invalid, match="bad-archive"):
        contents(io.BytesIO(data), kind)


def test_a_tar_within_bounds_may_be_long() -> None:
    """What lies between is gone past; an entry of less than no bytes, or a place before the start, is a fault."""
    assert listed(tarred(entry("a", 200_000), entry("b", 1))) == [("a", 200_000, "file"), ("b", 1, "file")]
    negative = entry("a")
    negative.size = -512
    with pytest.raises(Invalid, match="a size that none has"):
        contents(io.BytesIO(negative.tobuf(tarfile.GNU_FORMAT) + bytes(1024)), formats.TAR)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, 46, 1 << 30, 0)
    with pytest.raises(Invalid, match="bad-archive"):
        contents(io.BytesIO(b"PK\x03\x04" + end), formats.ZIP)


def test_listing() -> None:
    """Hostile names in an archive are text."""
    made = previews.listing(contents(io.BytesIO(zipped({"<script>\u202e": b"", "n" * 400: b""})), formats.ZIP))
    assert "<script>U+202E" in Checked(made.html).text
    assert "n" * 300 + "…" in made.html
    assert previews.listing(contents(io.BytesIO(zipped({})), formats.ZIP)).notes == ("The archive is empty.",)


# ── anything at all ─────────────────────────────────────────────────────────────────────────────────────────────────

SUFFIXES = ("txt", "md", "csv", "tsv", "json", "jsonl", "diff", "html", "svg", "png", "py", "yaml", "webp", "pdf")
HEADS = (*PICTURES.values(), b"%PDF-1.7\n", b"<svg>", b"\xff\xfe", b"PK\x03\x04", b"{", b"[", b"# ", b"a,b\n", b"")
HOSTILE = (
    "<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](//e.example/x)", '"><img src=x onerror=y>', "\u202e",
    "\0",
)  # fmt: skip


@given(st.sampled_from(SUFFIXES), st.sampled_from(HEADS), st.binary(max_size=300), st.sampled_from(HOSTILE))
def test_any_bytes_at_all(suffix: str, head: bytes, body: bytes, hostile: str) -> None:
    """Whatever the bytes and the name, the preview is made of nothing but the elements previews have."""
    for data in (head + body, head + hostile.encode() + body, head + body + hostile.encode("utf-16-le")):
        shown(data, f"input/a.{suffix}")


@given(
    st.sampled_from([formats.ZIP, formats.TAR, formats.GZIP]), st.binary(max_size=200), st.integers(0, 600),
    st.binary(max_size=8),
)  # fmt: skip
def test_any_archive_at_all(kind: str, tail: bytes, at: int, patch: bytes) -> None:
    """A damaged archive is listed or refused."""
    tar = tarred(entry("a", 3))
    whole = {formats.ZIP: zipped({"a": b"1", "b/c": b"22"}), formats.TAR: tar, formats.GZIP: gzip.compress(tar)}
    data = whole[kind][:at] + patch + whole[kind][at + len(patch) :] + tail
    try:
        Checked(previews.listing(contents(io.BytesIO(data), kind)).html)
    except Invalid as invalid:
        assert invalid.code == "bad-archive"


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for all tests here, which takes broken archives too."""
    with running(tmp_path_factory.mktemp("previews")) as site:
        assert site.call("admin", "PATCH", "/policy", {"denied_types": []}).status == 200
        yield site


@pytest.fixture
def alice(site: Site) -> Iterator[Person]:
    """Somebody signed in."""
    person = Person(site.url).enter(site.exchange, "alice")
    yield person
    person.close()


def made_task(site: Site, files: dict[str, bytes], **manifest: object) -> str:
    """A published task with these files."""
    held = tuple(upload(site.exchange, path, data) for path, data in files.items())
    made = Manifest(**{"title": "Look <here>", "description": "d", **manifest})  # type: ignore[arg-type]
    task = site.exchange.create(made, held, "alice", via="api").task.id
    site.exchange.staging.release(*(file.sha256 for file in held))
    return task


def test_pages_of_files(site: Site, alice: Person) -> None:
    """Package files, submission files and attachments each have a page: facts, preview, and the way to download."""
    task = made_task(site, {"input/größe 1.md": b"# Big <i>\n\n[a](a.csv)", "input/a.csv": b"x,y\n1,2\n"})
    site.post("bob", f"/tasks/{task}/claim", {})
    fields = [("execution", "1"), ("summary", "s"), ("artifacts/out.json", ("out.json", b'{"k": 1}'))]
    assert site.post("bob", f"/tasks/{task}/submissions", fields=fields).status == 200
    site.post("alice", f"/tasks/{task}/comment", fields=[("text", "t"), ("files", ("look.txt", b"seen\n"))])
    shown = alice.get(f"/tasks/{task}")
    pages = [known["href"] for tag, known in shown.elements if tag == "a" and "/view/" in known.get("href", "")]
    assert len(pages) == 4
    for address in pages:
        page = alice.get(address)
        assert page.status == 200
        assert page.text.count("SHA-256") == 1
        assert "Look <here>" in page.text
        download = next(known["href"] for tag, known in page.elements if "/files/" in known.get("href", ""))
        assert page_address(download) == address
        assert alice.get(download).headers["Content-Disposition"].startswith("attachment")
    markdown_page = alice.get(f"/tasks/{task}/view/{quote('input/größe 1.md')}")
    assert ("a", {"href": f"/tasks/{task}/view/input/a.csv", "rel": "nofollow noopener noreferrer ugc"}) in (
        markdown_page.elements
    )
    assert "Submission 1" in alice.get(f"/tasks/{task}/submissions/1/view/artifacts/out.json").text
    assert "Discussion 1" in alice.get(f"/tasks/{task}/discussion/1/view/look.txt").text


def test_large_files_are_read_at_the_head(site: Site, alice: Person) -> None:
    """Of a file in the large-file store only the beginning is read, and the page says so."""
    task = made_task(site, {"input/big.log": b"line\n" * 500_000})
    page = alice.get(f"/tasks/{task}/view/input/big.log")
    assert "Only the first 256 KiB are shown. Only the first 5000 of" in page.text
    assert len(page.body) < 500_000


def test_archives_on_a_page(site: Site, alice: Person) -> None:
    """The page of an archive lists what it holds, or says why it cannot."""
    task = made_task(site, {"input/a.zip": zipped({"in/side.txt": b"1"}), "input/b.zip": b"PK\x03\x04broken"})
    assert "in/side.txt" in alice.get(f"/tasks/{task}/view/input/a.zip").text
    assert "What it holds cannot be shown: " in alice.get(f"/tasks/{task}/view/input/b.zip").text


def test_what_has_no_preview_says_so(site: Site, alice: Person) -> None:
    """A PDF has facts and a download, and the page says that it is not shown."""
    task = made_task(site, {"input/a.pdf": b"%PDF-1.7\n/JS (app.alert(1))"})
    page = alice.get(f"/tasks/{task}/view/input/a.pdf")
    assert "Files of this type are not shown here" in page.text
    assert "application/pdf" in page.text


@pytest.mark.parametrize(
    "address",
    ["view/input/nothing", "view/input", "submissions/1/view/a", "submissions/x/view/a",
     "discussion/1/view/nothing", "discussion/9/view/a", "discussion/0/view/a"],
)  # fmt: skip
def test_missing_files(site: Site, alice: Person, address: str) -> None:
    """An address of no file is not found."""
    task = made_task(site, {"input/a.txt": b"a"})
    site.exchange.execute(Comment(task, "t"), "alice", via="api")
    assert alice.get(f"/tasks/{task}/{address}").status == 404


def test_private_files_have_pages_for_their_readers_only(site: Site, alice: Person) -> None:
    """The files of a private task are shown to who may read it; to others there is no such task."""
    task = made_task(site, {"input/a.txt": b"very secret\n", "input/a.zip": zipped({"s": b"1"})}, visibility="private")
    assert "very secret" in alice.get(f"/tasks/{task}/view/input/a.txt").text
    assert "What it holds" in alice.get(f"/tasks/{task}/view/input/a.zip").text
    carol = Person(site.url).enter(site.exchange, "carol")
    answers = {carol.get(f"/tasks/{task}/view/input/{name}").status for name in ("a.txt", "a.zip", "nothing")}
    carol.close()
    assert answers == {404}


def test_strangers_are_led_to_the_sign_in(site: Site) -> None:
    """Nobody who is signed out sees a file's page."""
    task = made_task(site, {"input/a.txt": b"members only\n"})
    stranger = Person(site.url)
    page = stranger.get(f"/tasks/{task}/view/input/a.txt")
    stranger.close()
    assert page.url.startswith("/login")
    assert "members only" not in page.text
