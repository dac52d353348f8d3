"""The HTTP client: one exchange, one API key, and patience.

* A command carries an Idempotency-Key, so it is sent again after a lost answer and still happens once.
* Lost connections, 503 and 429 are tried again, at most `TRIES` times and `PATIENCE` seconds; Retry-After is obeyed.
* Redirects are not followed: the key goes to the server that was named and to no other.
* Files stream in both directions, large ones ahead of their command, resumed after a cut.
* A JSON answer has at most `answers.MAX_ANSWER` bytes.

`taskrepo.solving` lets a Python function do tasks through it, with their leases kept alive.

>>> with Client("https://tasks.example", "tr_…") as client:                             # doctest: +SKIP
...     client.command("claim", "4k7q2m9x", {})["task"]["state"]
'claimed'
"""

import json
import random
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from taskrepo import sending
from taskrepo.answers import AGAIN, Stream, read_json, reason, refusal
from taskrepo.cuttable import CuttablePool
from taskrepo.desk import Json, KeyAction, Unreachable, wish
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.folders import Package, Readable, Upload
from taskrepo.formats import MEDIA_TYPES, ArchiveKind
from taskrepo.terminal import Progress

TRIES: Final = 6
PATIENCE: Final = 60.0
_API: Final = "/api/v1"
_TIMEOUT: Final = urllib3.Timeout(connect=10, read=120)
_SHORT: Final = urllib3.Timeout(connect=5, read=10)
_KEY: Final = re.compile(r"[!-~]{1,500}")
_KEY_CALLS: Final[Mapping[KeyAction, tuple[str, str]]] = {
    "add": ("POST", "/actors/{}/keys"), "rename": ("PATCH", "/actors/{}/keys/{}"),
    "retire": ("DELETE", "/actors/{}/keys/{}"), "revoke": ("POST", "/actors/{}/keys/{}/revoke"),
}  # fmt: skip

Body = Callable[[], bytes | Iterable[bytes]]
Showing = Callable[[str], AbstractContextManager[Progress]]


def _silent(what: str) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done, total: None)


class Client:
    """A desk at a server. Safe to use from several threads; `close` gives its connections back."""

    def __init__(
        self, url: str, key: str, *, patience: float = PATIENCE, tries: int = TRIES, progress: Showing = _silent
    ) -> None:
        """`patience` in seconds; `progress` shows how far a large file is. Connects with the first call.

        Raises `Invalid` for a malformed address or key.
        """
        self._base = _checked_url(url) + _API
        if not _KEY.fullmatch(key):
            raise Invalid("bad-key", "TASKREPO_KEY", "is not an API key")
        self._headers = {"Authorization": f"Bearer {key}", "Accept": "application/json", "User-Agent": "taskrepo"}
        self._pool, self._waiting = urllib3.PoolManager(retries=False, maxsize=4), CuttablePool(retries=False)
        self._patience, self._tries, self._progress = patience, tries, progress

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give all connections back."""
        self._pool.clear()
        self._waiting.clear()

    # ── the calls of a desk ─────────────────────────────────────────────────────────────────────────────────────────

    def me(self) -> Json:
        """The caller."""
        return self._get("/me")

    def listing(self, query: Mapping[str, str]) -> Json:
        """One page of tasks."""
        return self._get("/tasks?" + urlencode(query))

    def task(self, task: str) -> Json:
        """Everything about a task."""
        return self._get(_task(task))

    def events(self, task: str) -> Json:
        """Its whole history, oldest first, put together from as many answers as it takes."""
        page = self._get(f"{_task(task)}/events")
        events = page["events"]
        while page.get("earlier"):
            page = self._get(f"{_task(task)}/events?" + urlencode({"before": page["earlier"]}))
            events = page["events"] + events
        return {"events": events}

    def feed(self, query: Mapping[str, str]) -> Json:
        """One page of the exchange's events; with `wait` the answer may take so many seconds."""
        return self._get("/events?" + urlencode(query))

    def versions(self, task: str) -> Json:
        """The versions of its package, put together from as many answers as it takes."""
        page = self._get(f"{_task(task)}/versions?limit=200")
        found = {**page, "next": None}
        while page["next"]:
            page = self._get(f"{_task(task)}/versions?" + urlencode({"limit": 200, "cursor": page["next"]}))
            found["versions"] = found["versions"] + page["versions"]
        return found

    def version(self, task: str, number: int) -> Json:
        """One version of the package."""
        return self._get(f"{_task(task)}/versions/{number}")

    def compare(self, task: str, old: int, new: int) -> Json:
        """What changed between two versions."""
        return self._get(f"{_task(task)}/versions/{old}/compare/{new}")

    def queue(self) -> Json:
        """The caller's ranked work."""
        return self._get("/queue")

    def reminders(self) -> Json:
        """What the caller wants to be reminded of by now."""
        return self._get("/reminders?limit=200")

    def reminded(self, task: str, at: str) -> Json:
        """Acknowledge the reminder of that moment."""
        return self._send_json(f"/reminders/{quote(task, safe='')}/sent", {"at": at}, None, None)

    def add_public_key(self, actor: str, name: str, line: str) -> Json:
        """Register an SSH public key as the actor's: `{"actor": …, "commit": …}`."""
        return self._send_json(f"/actors/{quote(actor, safe='')}/keys", {"name": name, "key": line}, None, None)

    def create(self, package: Package, *, draft: bool = False, request_id: str | None = None) -> Json:
        """Create a task from a package."""
        fields = {"manifest": package.manifest, **({"state": b"draft"} if draft else {})}
        return self._send_form("/tasks", fields, package.uploads, request_id, None)

    def create_from(
        self, archive: Upload, kind: ArchiveKind, *, draft: bool = False, request_id: str | None = None
    ) -> Json:
        """Create a task from an archive, which is sent as it is."""
        headers = {
            "Content-Type": MEDIA_TYPES[kind],
            "Content-Length": str(archive.size),
            **_conditions(request_id, None),
        }
        path = "/tasks?state=draft" if draft else "/tasks"
        return self._call("POST", path, headers, lambda: sending.content(archive))

    def ingest(self, context: Json) -> Json:
        """Make tasks of a piece of context."""
        return self._send_json("/ingest", context, None, None)

    def command(
        self,
        name: str,
        task: str,
        body: Json,
        uploads: Sequence[Upload] = (),
        *,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Json:
        """Give a command; with files it travels as a form."""
        if not uploads and name != "submit":
            return self._send_json(f"{_task(task)}/{quote(name, safe='')}", body, request_id, if_match)
        path = f"{_task(task)}/{'submissions' if name == 'submit' else quote(name, safe='')}"
        fields = {field: _text(value).encode() for field, value in body.items()}
        return self._send_form(path, fields, uploads, request_id, if_match)

    def claim_next(self, *, request_id: str | None = None, wait: int = 0, labels: Sequence[str] = ()) -> Json:
        """Claim the best eligible task that has all the labels.

        With `wait` it waits for one, at most so many seconds (to 60), and is sent only once; `interrupt` cuts it.
        """
        if not wait:
            return self._send_json("/queue/claim", wish(labels), request_id, None)
        data = json.dumps({**wish(labels), "wait": wait}).encode()
        headers = {"Content-Type": "application/json", **_conditions(request_id, None)}
        timeout = urllib3.Timeout(connect=10, read=wait + 15)
        return self._call("POST", "/queue/claim", headers, lambda: data, tries=1, timeout=timeout, pool=self._waiting)

    def interrupt(self) -> None:
        """Cut the claims that wait; whoever gave them hears that the connection was lost. Safe in any thread."""
        self._waiting.cut()

    def heartbeat(self, task: str, execution: int) -> Json:
        """Renew the lease. Tried once: whoever keeps a lease alive decides himself when to try again."""
        body = json.dumps({"execution": execution}).encode()
        headers = {"Content-Type": "application/json"}
        return self._call("POST", f"{_task(task)}/heartbeat", headers, lambda: body, tries=1, timeout=_SHORT)

    def upload(self, path: Path, sha256: str, size: int, progress: Progress = lambda done, total: None) -> Json:
        """Send a file of `size` bytes ahead of the command that will refer to it by its SHA-256.

        It goes on where the server has it. `progress` is told how many bytes are there, of how many.
        """
        return sending.send_ahead(
            partial(self._call, tries=1), Upload(path.name, path, size), sha256, progress,
            patience=self._patience, tries=self._tries, wait_after=_wait_after,
        )  # fmt: skip

    def public_keys(self, actor: str) -> Json:
        """An actor's SSH public keys."""
        return self._get(f"/actors/{quote(actor, safe='')}/keys")

    def change_key(self, action: KeyAction, actor: str, fingerprint: str, body: Json) -> Json:
        """Change a key of an actor's. Tried once: what happened already would be refused the second time."""
        method, path = _KEY_CALLS[action]
        data = json.dumps(body).encode() if method != "DELETE" else b""
        headers = {"Content-Type": "application/json"} if data else {}
        place = path.format(quote(actor, safe=""), quote(fingerprint, safe=""))
        return self._call(method, place, headers, lambda: data, tries=1)

    def call(self, method: str, path: str, body: Json | None = None) -> Json:
        """Any other call, by its path below `/api/v1`. Tried once."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        return self._call(method, path, headers, lambda: b"" if body is None else json.dumps(body).encode(), tries=1)

    @contextmanager
    def content(self, task: str, folder: str, path: str) -> Iterator[Readable]:
        """A file's content as a stream."""
        place = f"{_task(task)}/{folder}/files/" if folder else f"{_task(task)}/files/"
        with self._streamed(place + quote(path)) as stream:
            yield stream

    @contextmanager
    def archive(self, task: str, place: str, kind: ArchiveKind) -> Iterator[Readable]:
        """An archive as a stream."""
        with self._streamed(f"{_task(task)}{'/' if place else ''}{place}/archive.{kind}") as stream:
            yield stream

    @contextmanager
    def _streamed(self, path: str) -> Iterator[Readable]:
        response = self._patiently(lambda: self._answered("GET", path, {"Accept": "*/*"}, None))
        try:
            if response.status != 200:
                raise refusal(response)
            yield Stream(response)
        finally:
            response.close()
            response.release_conn()

    # ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _get(self, path: str) -> Json:
        return self._call("GET", path, {}, None)

    def _send_json(self, path: str, body: Json, request_id: str | None, if_match: str | None) -> Json:
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **_conditions(request_id, if_match)}
        return self._call("POST", path, headers, lambda: data)

    def _send_form(
        self,
        path: str,
        fields: Mapping[str, bytes],
        uploads: Sequence[Upload],
        request_id: str | None,
        if_match: str | None,
    ) -> Json:
        small, large = sending.divided(uploads)
        if ahead := [self._send_ahead(upload) for upload in large]:
            fields = {**fields, "uploads": json.dumps(ahead).encode()}
        form = sending.Form(fields, small)
        headers = {
            "Content-Type": form.content_type,
            "Content-Length": str(form.length),
            **_conditions(request_id, if_match),
        }
        return self._call("POST", path, headers, form.chunks)

    def _send_ahead(self, upload: Upload) -> Json:
        """Send a large file, and how the command is to refer to it."""
        sha256 = sending.sha256_of(upload)
        with self._progress(f"Sending {upload.path}") as progress:
            self.upload(upload.source, sha256, upload.size, progress)
        return {"path": upload.path, "sha256": sha256}

    def _call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Body | None,
        *,
        tries: int | None = None,
        timeout: urllib3.Timeout = _TIMEOUT,
        pool: urllib3.PoolManager | None = None,
    ) -> Json:
        """The JSON answer to a request that may be sent again."""

        def once() -> Json:
            response = self._answered(method, path, headers, body, timeout, pool)
            try:
                return read_json(response)
            finally:
                response.release_conn()

        answer: Json = self._patiently(once, tries)
        return answer

    def _answered(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Body | None,
        timeout: urllib3.Timeout = _TIMEOUT,
        pool: urllib3.PoolManager | None = None,
    ) -> Any:
        """The head of the answer, its body unread."""
        try:
            return (pool or self._pool).request(
                method,
                self._base + path,
                headers={**self._headers, **headers},
                body=body() if body else None,
                preload_content=False,
                redirect=False,
                timeout=timeout,
            )
        except (HTTPError, OSError) as error:
            raise Unreachable(f"cannot reach {self._base.removesuffix(_API)}: {reason(error)}") from error

    def _patiently(self, once: Callable[[], Any], tries: int | None = None) -> Any:
        """What `once` gives, tried again while the server cannot be reached or asks to wait."""
        deadline = time.monotonic() + self._patience
        tries = self._tries if tries is None else tries
        for attempt in range(1, tries + 1):
            try:
                answer = once()
                if getattr(answer, "status", None) not in AGAIN:
                    return answer
                raise refusal(answer)
            except (Unreachable, Refused) as error:
                wait = _wait_after(error, attempt)
                if wait is None or attempt == tries or time.monotonic() + wait > deadline:
                    raise
            time.sleep(wait)
        raise AssertionError("unreachable")


def _checked_url(url: str) -> str:
    """The server's address without a trailing slash or API path."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
        _ = parts.port
    except ValueError:
        fits = None
    if not fits or "@" in parts.netloc or not url.isprintable():
        raise Invalid("bad-url", "TASKREPO_URL", f"{url[:100]!r} is not an address like https://tasks.example")
    return url.rstrip("/").removesuffix(_API).rstrip("/")


def _task(task: str) -> str:
    if not task.strip(". "):
        raise Invalid("bad-id", "id", f"{task[:40]!r} is not a task id")
    return f"/tasks/{quote(task, safe='')}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _conditions(request_id: str | None, if_match: str | None) -> dict[str, str]:
    key = request_id if request_id is not None else str(uuid.uuid4())
    if not _KEY.fullmatch(key) or '"' in key or "\\" in key:
        raise Invalid("bad-request-id", "Idempotency-Key", "must be visible ASCII characters without quotes")
    headers = {"Idempotency-Key": f'"{key}"'}
    if if_match is not None:
        if not re.fullmatch("[0-9a-f]{40}", if_match):
            raise Invalid("bad-precondition", "If-Match", f"{if_match[:60]!r} is not a commit id")
        headers["If-Match"] = f'"{if_match}"'
    return headers


def _wait_after(error: TaskrepoError, attempt: int) -> float | None:
    """How many seconds to wait before trying again; `None` if that is no use."""
    if isinstance(error, Refused) and error.code not in ("busy", "too-many-requests"):
        return None
    asked, pause = error.details.get("retry_after"), float(min(8.0, 0.2 * 2.0**attempt)) * random.uniform(0.5, 1)
    return max(float(asked), pause) if isinstance(asked, int) else pause
