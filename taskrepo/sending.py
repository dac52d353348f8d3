"""Files on their way to a server: the form that carries small ones, and large ones ahead of it, resumed after a cut.

* A file is sent as long as it was announced, or not at all; memory holds one chunk of it.
* A cut upload goes on where the server has it; patience begins again with every byte that arrived.
* What is sent ahead is read twice: once for its SHA-256, which is its name at the server, and once to be sent.

>>> Form({"summary": b"Done."}, ()).content_type.partition(";")[0]
'multipart/form-data'
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from taskrepo.desk import Json, Unreachable
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.folders import Upload
from taskrepo.terminal import Progress

AHEAD: Final = 8 << 20
"""Files of this size in bytes and more go ahead of the command, each by itself."""
MOST_AHEAD: Final = 100
"""How many files of one command go ahead; a server keeps a bounded number waiting."""
_CHUNK: Final = 1 << 16

Body = Callable[[], Iterator[bytes]]


class Server(Protocol):
    """What sending ahead needs: one request, tried once."""

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: Body | None) -> Json:
        """The JSON answer. Raises `Unreachable`, `Refused` or `Invalid`."""
        ...


class Form:
    """A multipart/form-data body (RFC 7578) of text fields and files, made afresh by each call of `chunks`."""

    def __init__(self, fields: Mapping[str, bytes], uploads: Sequence[Upload]) -> None:
        self._boundary = secrets.token_hex(16)
        self._uploads = uploads
        self._head = b"".join(self._part(f'name="{name}"') + value + b"\r\n" for name, value in fields.items())
        self._parts = [self._part(_disposition(upload.path)) for upload in uploads]
        self._tail = f"--{self._boundary}--\r\n".encode()

    @property
    def content_type(self) -> str:
        """The value of Content-Type."""
        return f"multipart/form-data; boundary={self._boundary}"

    @property
    def length(self) -> int:
        """How many bytes `chunks` gives."""
        files = sum(len(part) + upload.size + 2 for part, upload in zip(self._parts, self._uploads, strict=True))
        return len(self._head) + files + len(self._tail)

    def chunks(self) -> Iterator[bytes]:
        """The body. Raises `Invalid("changed-file")` if a file is not as long as it was."""
        yield self._head
        for part, upload in zip(self._parts, self._uploads, strict=True):
            yield part
            yield from content(upload)
            yield b"\r\n"
        yield self._tail

    def _part(self, disposition: str) -> bytes:
        return f"--{self._boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()


def content(upload: Upload, start: int = 0) -> Iterator[bytes]:
    """The content from the byte `start` on. Raises `Invalid("changed-file")` if it is not as long as it was."""
    left = upload.size - start
    with upload.open() as stream:
        stream.seek(start)
        while data := stream.read(_CHUNK):
            left -= len(data)
            if left < 0:
                break
            yield data
    if left:
        raise Invalid("changed-file", str(upload.source), "changed while it was being sent")


def divided(uploads: Sequence[Upload]) -> tuple[list[Upload], list[Upload]]:
    """The files that go with the command, and those that go ahead: the largest, if they are large."""
    large = sorted((upload for upload in uploads if upload.size >= AHEAD), key=lambda upload: -upload.size)
    ahead = large[:MOST_AHEAD]
    going = {upload.path for upload in ahead}
    return [upload for upload in uploads if upload.path not in going], ahead


def sha256_of(upload: Upload) -> str:
    """The SHA-256 of the content, as hex."""
    digest = hashlib.sha256()
    for data in content(upload):
        digest.update(data)
    return digest.hexdigest()


def send_ahead(
    server: Server,
    upload: Upload,
    sha256: str,
    progress: Progress,
    *,
    patience: float,
    tries: int,
    wait_after: Callable[[TaskrepoError, int], float | None],
) -> Json:
    """Bring the whole file to the server, from where it stands there; a cut is taken up again.

    At most `tries` attempts, or `patience` seconds, bring nothing new in a row; `wait_after` says how long to wait
    after an error (the n-th of a row), and None that trying is no use. Raises the last error.
    """
    address, arrived, failures, heard = f"/uploads/{sha256}", 0, 0, time.monotonic()
    while True:
        try:
            standing = _standing(server, address)
            if standing["offset"] > arrived:
                arrived, failures, heard = standing["offset"], 0, time.monotonic()
            if standing["complete"]:
                progress(upload.size, upload.size)
                return standing
            # A part as long as the whole was not verified, and no piece can follow it: begin anew.
            start = int(standing["offset"]) if standing["offset"] < upload.size else 0
            return _rest(server, address, upload, start, progress)
        except TaskrepoError as error:
            failures += 1
            wait = 0.0 if error.code == "wrong-offset" else wait_after(error, failures)
            given_up = failures >= tries or time.monotonic() - heard + (wait or 0) > patience
            if wait is None or given_up or (isinstance(error, Invalid) and error.code != "truncated-body"):
                raise
        time.sleep(wait)


def _standing(server: Server, address: str) -> Json:
    """How far the upload is."""
    try:
        return server("GET", address, {}, None)
    except Refused as refused:
        if refused.code != "unknown-file":
            raise
        return {"offset": 0, "complete": False}


def _rest(server: Server, address: str, upload: Upload, start: int, progress: Progress) -> Json:
    """Send what is missing."""
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(upload.size - start)}
    if start:
        headers["Content-Range"] = f"bytes {start}-{upload.size - 1}/{upload.size}"

    def body() -> Iterator[bytes]:
        done = start
        progress(done, upload.size)
        for data in content(upload, start):
            yield data
            done += len(data)
            progress(done, upload.size)

    answer = server("PUT", address, headers, body)
    if not answer["complete"]:
        raise Unreachable(f"the server has {answer['offset']} of {upload.size} bytes of {upload.source.name}")
    return answer


def _disposition(path: str) -> str:
    """How a file part is named: the field is its path, or, at the top of its layout, the file name alone is."""
    name = path.rpartition("/")[2]
    return f'name="{path if "/" in path else "files"}"; filename="{name}"'
