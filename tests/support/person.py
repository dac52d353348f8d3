"""Somebody at a browser without scripts: keeps cookies, fills in the forms that are on the page, follows redirects.

>>> page = Person(site.url).get("/login")                                               # doctest: +SKIP
>>> page.form("/login").fields["next"]                                                  # doctest: +SKIP
'/'
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urljoin

import urllib3

from tests.support.waiting import PATIENCE

Attributes = dict[str, str]
_LEAVES = frozenset(["input", "meta", "link", "br", "hr", "img"])


@dataclass
class Form:
    """A form as it was rendered: its hidden and prefilled fields, its file inputs, the buttons with a name."""

    action: str
    method: str
    multipart: bool
    fields: dict[str, str] = field(default_factory=dict)
    uploads: set[str] = field(default_factory=set)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class Page(HTMLParser):
    """An answer, and what is in it if it is HTML."""

    def __init__(self, url: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__()
        self.url, self.status, self.headers, self.body = url, status, headers, body
        self.elements: list[tuple[str, Attributes]] = []
        self.forms: list[Form] = []
        self.text = ""
        self._area = self._select = ""
        self._inside = ""
        if headers.get("Content-Type", "").startswith("text/html"):
            self.feed(body.decode())

    @property
    def html(self) -> str:
        """The source."""
        return self.body.decode()

    def form(self, action: str) -> Form:
        """The first form that goes there."""
        found = [form for form in self.forms if form.action == action]
        assert found, f"{self.url} ({self.status}) has no form to {action}: {[f.action for f in self.forms]}"
        return found[0]

    def offers(self, action: str) -> bool:
        """Whether there is a form that goes there."""
        return any(form.action == action for form in self.forms)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element, and what it means for a form."""
        known = {name: value or "" for name, value in attrs}
        self.elements.append((tag, known))
        self._inside = tag if tag not in _LEAVES else self._inside
        if tag == "form":
            multipart = known.get("enctype") == "multipart/form-data"
            action = known.get("action", urljoin(self.url, ""))
            self.forms.append(Form(action, known.get("method", "get"), multipart))
        elif self.forms and "name" in known:
            self._field(self.forms[-1], tag, known)
        elif tag == "option" and self._select and "selected" in known:
            self.forms[-1].fields[self._select] = known["value"]

    def _field(self, form: Form, tag: str, known: Attributes) -> None:
        name = known["name"]
        if tag == "input" and known.get("type") == "file":
            form.uploads.add(name)
        elif tag == "input" and known.get("type") in ("radio", "checkbox") and "checked" not in known:
            return
        elif tag == "input":
            form.fields[name] = known.get("value", "")
        elif tag == "textarea":
            self._area, form.fields[name] = name, ""
        elif tag == "select":
            self._select = name
        elif tag == "button":
            form.buttons.append((name, known.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        """Close what the element was."""
        if tag == "textarea" and self._area:
            area = self.forms[-1].fields
            area[self._area] = area[self._area].removeprefix("\n")
            self._area = ""
        if tag == "select":
            self._select = ""
        self._inside = ""

    def handle_data(self, data: str) -> None:
        """Note text, and the content of a text area."""
        if self._area and self._inside == "textarea":
            self.forms[-1].fields[self._area] += data
        self.text += data


class Person:
    """A cookie jar with a pair of hands."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies: dict[str, str] = {}
        self._pool = urllib3.PoolManager(retries=False, timeout=PATIENCE)

    def close(self) -> None:
        """Let all connections go."""
        self._pool.clear()

    def get(self, path: str, follow: bool = True, **headers: str) -> Page:
        """GET, and where it leads."""
        return self.ask("GET", path, follow=follow, headers=headers)

    def ask(
        self, method: str, path: str, *, follow: bool = True, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Page:
        """Any request, with the cookies."""
        jar = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())} if self.cookies else {}
        # A connection that is kept may be closed, for having been idle, at the very moment it is used again.
        sent = {"Connection": "close", **jar, **{k.replace("_", "-"): v for k, v in (headers or {}).items()}}
        answer = self._pool.request(method, urljoin(self.url, path), headers=sent, redirect=False, **more)
        for line in answer.headers.getlist("Set-Cookie"):
            self._keep(line)
        if answer.status == 303 and follow:
            return self.get(answer.headers["Location"])
        return Page(path, answer.status, answer.headers, answer.data)

    def submit(
        self,
        page: Page,
        action: str,
        values: Mapping[str, str] | None = None,
        files: Iterable[tuple[str, str, bytes]] = (),
        *,
        follow: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> Page:
        """Fill in and send the form that goes to `action`; `files` are (field, name, content)."""
        form = page.form(action)
        assert form.method == "post"
        fields = {**form.fields, **(values or {})}
        if not form.multipart:
            kind = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
            return self.ask("POST", action, body=urlencode(fields).encode(), headers=kind, follow=follow)
        given = list(files)
        assert {name for name, _, _ in given} <= form.uploads
        parts: list[Any] = list(fields.items())
        parts += [(name, (filename, content, "application/octet-stream")) for name, filename, content in given]
        empty = form.uploads - {name for name, _, _ in given}
        body, kind_of = urllib3.encode_multipart_formdata(parts)
        body = _with_empty(body, kind_of, sorted(empty))
        return self.ask("POST", action, body=body, headers={"Content-Type": kind_of, **(headers or {})}, follow=follow)

    def enter(self, exchange: Any, actor: str) -> "Person":
        """Be signed in as the actor, without the form."""
        self.cookies["session"] = exchange.accounts.open_session(actor, int(time.time()))[0]
        return self

    def _keep(self, line: str) -> None:
        pair, _, rest = line.partition(";")
        name, _, value = pair.partition("=")
        if "max-age=0" in rest.lower():
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value.strip('"')


def _with_empty(body: bytes, kind: str, names: list[str]) -> bytes:
    """The body with what browsers send for file inputs that were left alone."""
    boundary = kind.partition("boundary=")[2].encode()
    empty = b"".join(
        b"--" + boundary + b'\r\nContent-Disposition: form-data; name="' + name.encode()
        + b'"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n\r\n'
        for name in names
    )  # fmt: skip
    return empty + body
