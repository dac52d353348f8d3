"""A receiver of webhooks on a real socket, which checks signatures as the specification says and by no code of ours.

>>> with receiving() as receiver:                                                       # doctest: +SKIP
...     receiver.url
'http://127.0.0.1:40123/hook'
"""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.waiting import over


@dataclass(frozen=True)
class Message:
    """A POST as it came: its path, its header fields in lower case, and its body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def id(self) -> str:
        """What the sender calls the message."""
        return self.headers["webhook-id"]

    def signed_by(self, *secrets: str) -> bool:
        """Whether it has a signature by each of the secrets, and no other (Standard Webhooks, "Signature scheme")."""
        signed = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
        wanted = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in keys]
        return self.headers["webhook-signature"].split(" ") == [f"v1,{each}" for each in wanted]


Reply = tuple[int, dict[str, str]]


class Receiver:
    """What came, in order; `reply` says what each message is answered with."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.came: list[Message] = []
        self.reply: Callable[[Message], Reply] = lambda message: (204, {})

    @property
    def ids(self) -> list[str]:
        """The ids of all that came."""
        return [message.id for message in self.came]

    @property
    def events(self) -> list[str]:
        """What happened, by each message."""
        return [message.json["data"]["event"]["event"] for message in self.came]

    def answers(self, status: int, **headers: str) -> None:
        """Answer everything like this from now on; an underscore in a header's name stands for a hyphen."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        self.reply = lambda message: (status, fields)


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        """Note it and answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        message = Message(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        self.receiver.came.append(message)
        status, headers = self.receiver.reply(message)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver until the block ends."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    receiver = handler.receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}/hook")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        over(thread)
