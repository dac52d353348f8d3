"""Files made to run in a browser, opened in one: from every page, by every link, and as parts of a page.

Each file is there three times: in the package, in a submission and beside a comment. What would tell that one of them
ran: a request to the listener, a request to any other host, a dialog, a changed title, a word on the console, a window
of its own, an error of a script. The control at the end serves the same files without the exchange, and all of this is
seen there, so the observing works.
"""

import gzip
import json
import shutil
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any, Final
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect, sync_playwright
from playwright.sync_api import Error as BrowserError

from taskrepo.commands import SetPolicy
from taskrepo.model import Policy
from tests.support.http import Site, running

WORD: Final = "PWNED"
README: Final = "README.md"


# ── the files ───────────────────────────────────────────────────────────────────────────────────────────────────────


def payload(beacon: str, name: str) -> str:
    """A script that makes itself noticed in every way."""
    return (
        f"document.title='{WORD}';console.log('{WORD}');new Image().src='{beacon}/{quote(name)}';"
        f"fetch('{beacon}/{quote(name)}');alert('{WORD}')"
    )


def png(text: bytes) -> bytes:
    """A whole picture of one pixel with this in a comment."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    body = chunk(b"tEXt", b"Comment\0" + text) + chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


def zipped(name: str, data: bytes) -> bytes:
    """A zip of one file."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        bundle.writestr(name, data)
    return out.getvalue()


def hostile_markdown(js: str, beacon: str) -> str:
    """What the usual lists try on Markdown."""
    links = (
        f"javascript:{js}", f"JaVaScRiPt:{js}", f"&#106;avascript:{js}", f"java\tscript:{js}", f" javascript:{js}",
        f"vbscript:{js}", f"data:text/html,<script>{js}</script>", f"javascript&colon;{js}", f"javascript&#58;{js}",
        f"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload=\"{js}\"/>", f"\\x6aavascript:{js}",
        f"//{beacon.removeprefix('http://')}/protocol", f"{beacon}/remote", "https:javascript:alert(1)",
    )  # fmt: skip
    tried = [f"[l{at}](<{link}>) ![i{at}](<{link}>) <{link}>" for at, link in enumerate(links)]
    tried += [f"[r{at}]: {link}\n\n[r{at}] ![r{at}]" for at, link in enumerate(links)]
    tried += [
        f"<script>{js}</script>", f'<img src=x onerror="{js}">', f'<svg onload="{js}">',
        f"<iframe srcdoc='<script>{js}'>",
        f'<a href="javascript:{js}">x</a>', f"<style>@import '{beacon}/css'</style>", f"![x]({beacon}/y)",
        f'![x" onerror="{js}](x)', f'[x](x "\\" onmouseover=\\"{js}")', f"`<script>{js}</script>`",
        f'```"><script>{js}</script>\n</code></pre><script>{js}</script>\n```', f"<details open ontoggle=\"{js}\">",
        f"<math><mtext></p><img src=x onerror=\"{js}\">",
        f"<noscript><p title='</noscript><img src=x onerror={js}>'>",
        f"<form><input autofocus onfocus=\"{js}\">", f'<object data="data:text/html,<script>{js}</script>">',
        f"<meta http-equiv=refresh content='0;url=javascript:{js}'>", f"<base href='{beacon}/'>",
        "<!--><img src=x>-->",
        f"| <img src=x onerror={js}> |\n|---|\n| <script>{js}</script> |",
        f"<?xml-stylesheet href='{beacon}/x.xsl'?>",
    ]  # fmt: skip
    return "\n\n".join(tried)


def corpus(beacon: str) -> dict[str, bytes]:
    """Name → content, each of which tries to run, or to be run, as something."""

    def js(name: str) -> str:
        return payload(beacon, name)

    def page(name: str) -> bytes:
        return f"<!DOCTYPE html><html><body><script>{js(name)}</script></body></html>".encode()

    def svg(name: str, inner: str) -> bytes:
        head = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        return f'{head} onload="{js(name)}" width="9" height="9">{inner}</svg>'.encode()

    html_names = ("page.html", "page.htm", "page.xht", "page.shtml", "page.txt", "page.csv", "page.png", "page.md",
                  "page", "page.html.txt", "page.json", "page.pdf", "page.diff", "page.unknown")  # fmt: skip
    files = {name: page(name) for name in html_names}
    files |= {
        "script.svg": svg("script.svg", f"<script>{js('script.svg')}</script>"),
        "foreign.svg": svg("foreign.svg",
        "<foreignObject><iframe xmlns='http://www.w3.org/1999/xhtml' srcdoc=\"x\"/>"
                                          "</foreignObject>"),
        "use.svg": svg("use.svg", f"<use xlink:href=\"data:image/svg+xml,x#y\"/><image href='{beacon}/use'/>"),
        "svg.jpg": svg("svg.jpg", ""),
        "drawing.svgz": gzip.compress(svg("drawing.svgz", f"<script>{js('drawing.svgz')}</script>")),
        "style.xml": f'<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="{beacon}/x.xsl"?><a/>'.encode(),
        "sheet.xsl": b'<?xml version="1.0"?><xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
                     b'<xsl:template match="/"><script xmlns="http://www.w3.org/1999/xhtml">' + js("sheet.xsl").encode()
                     + b"</script></xsl:template></xsl:stylesheet>",
        "entity.xml": f'<?xml version="1.0"?><!DOCTYPE a SYSTEM "{beacon}/dtd" [<!ENTITY e SYSTEM "{beacon}/e">]>'
                      f"<html xmlns='http://www.w3.org/1999/xhtml'><script>{js('entity.xml')}</script>&e;</html>".encode(),
        "page.xhtml": f"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><script>{js('page.xhtml')}"
                      "</script></html>".encode(),
        "action.pdf": f"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert('{WORD}'))>>>>endobj\n"
                      f"trailer<</Root 1 0 R>>\n%%EOF\n<script>{js('action.pdf')}</script>".encode(),
        "saved.mhtml": b"MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\n"
                       b"Content-Type: text/html\r\n\r\n" + page("saved.mhtml") + b"\r\n--b--\r\n",
        "app.hta": b"<HTA:APPLICATION>" + page("app.hta"),
        "code.js": js("code.js").encode(),
        "module.mjs": f"export default 1;{js('module.mjs')}".encode(),
        "code.png": js("code.png").encode(),
        "code.txt": js("code.txt").encode(),
        "code.json": js("code.json").encode(),
        "code.csv": js("code.csv").encode(),
        "both.gif": b"GIF89a/*" + b"\x01\0\x01\0" + b"*/=1;" + js("both.gif").encode() + b";",
        "comment.png": png(page("comment.png")),
        "tail.png": png(b"x") + page("tail.png"),
        "start.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + page("start.jpg"),
        "mark.txt": b"\xef\xbb\xbf" + page("mark.txt"),
        "wide.txt": page("wide.txt").decode().encode("utf-16"),
        "wide.html": b"\xfe\xff" + page("wide.html").decode().encode("utf-16-be"),
        "seven.txt": b"+/v8-" + page("seven.txt").decode().encode("utf-7"),
        "seven.html": b'<meta charset="utf-7">' + page("seven.html").decode().encode("utf-7"),
        "cells.csv": f'name,"<script>{js("cells.csv")}</script>"\n=HYPERLINK("{beacon}"),"<img src=x>"\n'.encode(),
        "cells.tsv": f"name\t<svg onload={js('cells.tsv')}>\n".encode(),
        "closing.json": json.dumps({"</script><script>" + js("closing.json"): "</script><img src=x>"}).encode(),
        "closing.jsonl": json.dumps("</details><script>" + js("closing.jsonl") + "</script>").encode() + b"\n",
        "patch.diff": f"--- a\n+++ b\n@@ -1 +1 @@\n+</span></pre><script>{js('patch.diff')}</script>\n".encode(),
        "lists.md": hostile_markdown(js("lists.md"), beacon).encode(),
        "long.md": ("> " * 500 + f"<img src=x onerror=\"{js('long.md')}\">").encode(),
        "style.css": f"@import '{beacon}/import'; body {{ background: url({beacon}/css) }} </style>".encode(),
        "meeting.ics": f"BEGIN:VCALENDAR\nSUMMARY:<script>{js('meeting.ics')}</script>\nURL:javascript:1\n".encode(),
        "card.vcf": f"BEGIN:VCARD\nNOTE:<script>{js('card.vcf')}</script>\nPHOTO;VALUE=uri:{beacon}/p\n".encode(),
        "film.swf": b"FWS\x06" + page("film.swf"),
        "code.wasm": b"\0asm\x01\0\0\0" + page("code.wasm"),
        "worker.js": f"self.onfetch = () => 1; fetch('{beacon}/worker.js'); {js('worker.js')}".encode(),
        "replace.txt": b"--b\r\nContent-Type: text/html\r\n\r\n" + page("replace.txt") + b"\r\n--b--",
        "header.txt": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page("header.txt"),
        "spaces.txt": b" \t\r\n" * 300 + page("spaces.txt"),
        "late.dat": b"\0" * 600 + page("late.dat"),
        "feed.rss": b"<rss><channel><title>" + page("feed.rss") + b"</title></channel></rss>",
        "cache.appcache": b"CACHE MANIFEST\n" + page("cache.appcache"),
        "link.url": f"[InternetShortcut]\nURL=javascript:{js('link.url')}\n".encode(),
        "site.webmanifest": json.dumps({"start_url": f"javascript:{js('m')}",
        "icons": [{"src": f"{beacon}/i"}]}).encode(),
        "held.zip": zipped("<script>" + js("held.zip")[:200] + "</script>", page("held.zip")),
        "front.zip": page("front.zip") + zipped("a", b"1"),
    }  # fmt: skip
    return files


# ── watching ────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def listening(answers: Mapping[str, tuple[str, bytes]]) -> Iterator[tuple[str, list[str]]]:
    """A server that notes every path asked for, and answers some as told: path → (media type, body)."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            kind, body = answers.get(self.path, ("text/plain", b""))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Watch:
    """What a browser was seen to do that no file may make it do."""

    own: str
    ran: list[str] = field(default_factory=list)

    def over(self, context: BrowserContext) -> Page:
        """A page whose every doing is watched."""
        page = context.new_page()
        context.on("page", lambda opened: self.ran.append(f"window {opened.url}"))
        context.on("request", lambda request: self._asked(request.url))
        page.on("dialog", self._spoken)
        page.on("console", lambda said: self.ran.append(f"console {said.text}") if self._tells(said.text) else None)
        page.on("pageerror", lambda error: self.ran.append(f"error {error}"))
        return page

    def look(self, page: Page) -> None:
        """The title is as the exchange wrote it."""
        if page.title() == WORD:
            self.ran.append(f"title of {page.url}")

    def _asked(self, url: str) -> None:
        if not url.startswith(self.own):
            self.ran.append(f"request {url}")

    def _spoken(self, dialog: Dialog) -> None:
        self.ran.append(f"dialog {dialog.message}")
        dialog.dismiss()

    @staticmethod
    def _tells(text: str) -> bool:
        # A page of ours that its own policy has to hold back has let something in.
        return WORD in text or "Content Security Policy" in text


@dataclass
class Placed:
    """Where the files were put: for each, the addresses of its page and of its download."""

    site: Site
    task: str
    names: list[str]

    def addresses(self, door: str) -> list[str]:
        """Those of all three places; `door` is `view` or `files`."""
        base = f"/tasks/{self.task}"
        return [
            f"{base}/{place}{quote(name)}"
            for name in self.names
            for place in (f"{door}/input/", f"submissions/1/{door}/artifacts/", f"discussion/1/{door}/")
        ]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium, which has to be there."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "these tests need chromium (Debian: apt-get install chromium)"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def listener() -> Iterator[tuple[str, list[str]]]:
    """Who the files call when they run."""
    with listening({}) as listening_at:
        yield listening_at


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory, listener: tuple[str, list[str]]) -> Iterator[Placed]:
    """An exchange that denies no type of file, with all of them in a task."""
    files = corpus(listener[0])
    assert len(files) >= 60
    with running(tmp_path_factory.mktemp("hostile")) as site:
        site.exchange.govern(SetPolicy("policy", Policy(denied_suffixes=(), denied_types=())), "admin", via="cli")
        yield Placed(site, put(site, files), sorted(files))


def put(site: Site, files: Mapping[str, bytes]) -> str:
    """A task with the files in its package, in a submission and beside a comment, and with hostile words everywhere."""
    words = files["lists.md"].decode()
    told = {"title": f"<script>{WORD}</script>", "description": words[:9000], "acceptance": [words[:300]]}
    fields: list[Any] = [("manifest", json.dumps(told)), (README, (README, files["lists.md"]))]
    fields += [(f"input/{name}", (name, data)) for name, data in files.items()]
    made = site.post("alice", "/tasks", fields=fields)
    assert made.status == 201, made.body
    task = str(made.json["task"]["id"])
    assert site.post("bob", f"/tasks/{task}/claim", {}).status == 200
    sent: list[Any] = [("execution", "1"), ("summary", words[:9000])]
    sent += [(f"artifacts/{name}", (name, data)) for name, data in files.items()]
    assert site.post("bob", f"/tasks/{task}/submissions", fields=sent).status == 200
    said: list[Any] = [("text", words[:9000]), *(("files", (name, data)) for name, data in files.items())]
    assert site.post("alice", f"/tasks/{task}/comment", fields=said).status == 200
    return task


@pytest.fixture
def signed_in(browser: Browser, placed: Placed) -> Iterator[BrowserContext]:
    """A browser of the publisher's."""
    context = browser.new_context(base_url=placed.site.url)
    token = placed.site.exchange.accounts.open_session("alice", int(time.time()))[0]
    context.add_cookies([{"name": "session", "value": token, "url": placed.site.url}])
    yield context
    context.close()


def open_address(page: Page, address: str) -> str:
    """Go there: `page` if it is shown, `download` if it is saved instead."""
    try:
        page.goto(address)
    except BrowserError as error:
        assert "Download is starting" in str(error) or "ERR_ABORTED" in str(error), error
        return "download"
    return "page"


# ── tests ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pages_run_nothing(placed: Placed, signed_in: BrowserContext, listener: tuple[str, list[str]]) -> None:
    """The task's page, and the page of each file with all of it unfolded, run none and load nothing from elsewhere.

    Nor does any file make its page wider than a phone.
    """
    watch = Watch(placed.site.url)
    page = watch.over(signed_in)
    page.set_viewport_size({"width": 390, "height": 844})
    for address in (f"/tasks/{placed.task}?all=1", *placed.addresses("view")):
        page.goto(address)
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        expect(page.locator("h1")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), address
        assert page.evaluate("document.querySelectorAll('main script, main iframe, main svg, main style').length") == 0
        hrefs = page.evaluate("[...document.querySelectorAll('main a, main img')].map(e => e.href || e.src)")
        assert all(href.startswith(("http:", "https:", "mailto:")) for href in filter(None, hrefs)), hrefs
        watch.look(page)
    assert (watch.ran, listener[1]) == ([], [])


@pytest.mark.parametrize("query", ["", "?inline=1"])
def test_downloads_run_nothing(
    placed: Placed, signed_in: BrowserContext, listener: tuple[str, list[str]], query: str
) -> None:
    """A download is saved, whatever it holds; the few types that may show inline when asked run nothing either."""
    watch = Watch(placed.site.url)
    page = watch.over(signed_in)
    asked = placed.addresses("files")[:: 3 if query else 1]  # the three doors are one when it comes to what is inline
    opened = {address: open_address(page, address + query) for address in asked}
    watch.look(page)
    # Chromium lays plain text out with a style of its own, which the sandbox's policy holds back as well.
    told = [each for each in watch.ran if not each.startswith("console Applying inline style violates")]
    assert (told, listener[1]) == ([], [])
    shown = [address for address, how in opened.items() if how == "page"]
    for address in shown:
        sent = placed.site.get("alice", f"/api/v1{address}").headers["Content-Type"].partition(";")[0]
        assert query and sent in ("text/plain", "image/png", "image/gif", "image/jpeg"), address
    assert bool(shown) == bool(query)


PARTS: Final = """
async addresses => {
    const kinds = ["script", "module", "iframe", "embed", "object", "link", "img"];
    const settled = [];
    for (const address of addresses) for (const kind of kinds) {
        const made = document.createElement(kind === "module" ? "script" : kind);
        if (kind === "module") made.type = "module";
        if (kind === "link") { made.rel = "stylesheet"; made.href = address; }
        else if (kind === "object") made.data = address;
        else made.src = address;
        settled.push(new Promise(done => { made.onload = made.onerror = done; setTimeout(done, 1000); }));
        document.body.append(made);
    }
    await Promise.all(settled);
    const tries = addresses.map(address => navigator.serviceWorker.register(address).then(() => address, () => ""));
    const workers = addresses.map(address => new Promise(done => {
        try {
            const worker = new Worker(address);
            worker.onmessage = () => done(address);
            worker.onerror = () => done("");
            setTimeout(() => done(""), 1000);
        } catch { done(""); }
    }));
    return (await Promise.all([...tries, ...workers])).filter(Boolean);
}
"""


def test_parts_of_a_page_run_nothing(
    placed: Placed, signed_in: BrowserContext, listener: tuple[str, list[str]]
) -> None:
    """Even a page of the exchange that pulled them in as scripts, frames, styles or workers would run none of them."""
    watch = Watch(placed.site.url)
    page = watch.over(signed_in)
    page.goto("/help")
    addresses = [f"/tasks/{placed.task}/files/input/{quote(name)}" for name in placed.names]
    for at in range(0, len(addresses), 16):
        assert page.evaluate(PARTS, addresses[at : at + 16]) == []
    watch.look(page)
    told = [each for each in watch.ran if not each.startswith("console Framing") and "violates" not in each]
    assert (told, listener[1]) == ([], [])


def test_headers(placed: Placed) -> None:
    """Every download says: save it, believe the type, in a sandbox, for this origin only; and no type is active."""
    active = {"text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/xml", "text/javascript",
              "text/css", "application/x-shockwave-flash", "application/wasm", "message/rfc822",
              "text/calendar"}  # fmt: skip
    for address in placed.addresses("files"):
        headers = placed.site.get("alice", f"/api/v1{address}").headers
        assert headers["Content-Disposition"].startswith("attachment; filename="), address
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Content-Type"].partition(";")[0] not in active, address


def test_the_watch_sees_what_runs(browser: Browser) -> None:
    """Control: a server without the exchange's care sends the same files, and every sign of their running is seen."""
    answers: dict[str, tuple[str, bytes]] = {}
    with listening(answers) as (beacon, heard):
        files = corpus(beacon)
        answers["/open/page.html"] = ("text/html", files["page.html"])
        answers["/open/page.txt"] = ("text/html", files["page.txt"])
        answers["/open/script.svg"] = ("image/svg+xml", files["script.svg"])
        answers["/open/code.js"] = ("text/javascript", files["code.js"])
        answers["/open/both.gif"] = ("text/javascript", files["both.gif"])
        context = browser.new_context()
        try:
            for name in ("page.html", "page.txt", "script.svg"):
                assert seen(context, f"{beacon}/open/{name}", heard, name) >= {"dialog", "console", "request"}
            for name in ("code.js", "both.gif"):
                answers["/open/page"] = ("text/html", f"<script src='/open/{name}'></script>".encode())
                assert seen(context, f"{beacon}/open/page", heard, name) >= {"dialog", "console", "request", "title"}
        finally:
            context.close()


def seen(context: BrowserContext, address: str, heard: list[str], name: str) -> set[str]:
    """The signs of a file that runs at this address."""
    watch = Watch(f"{address.rpartition('/')[0]}/")
    page = watch.over(context)
    page.goto(address)
    with suppress(BrowserError):
        page.wait_for_load_state("networkidle")
    watch.look(page)
    page.close()
    assert f"/{quote(name)}" in heard
    return {sign.partition(" ")[0] for sign in watch.ran}
