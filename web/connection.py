"""Sockets: one to listen on, and one for each client, with what arrived on it and how long it may take.

* Bytes of a body are counted out of the same buffer as the head, so none is lost or read twice.
* A client that sends slower than `Limits.slowest_rate` runs out of patience, a worker's, not only of time.

>>> base_url("0.0.0.0", 8753)
'http://127.0.0.1:8753'
"""

import contextlib
import ipaddress
import re
import resource
import select
import socket
import struct
import sys
from time import monotonic
from typing import Any, Final, Literal, get_args

from taskrepo.errors import Invalid
from taskrepo.web.framing import Limits

State = Literal["head", "ready", "busy", "parked", "recalled", "closing"]
STATES: Final[tuple[State, ...]] = get_args(State)

BLOCK: Final = 64 * 1024
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_LENGTH: Final = re.compile(rb"(?i)\nContent-Length:[ \t]*([0-9]{1,18})[ \t]*\r?(?=\n)")
_AT_ONCE: Final = re.compile(rb"(?i)\n(?:Transfer-Encoding|Expect):")
_FORWARDED: Final = re.compile(rb"(?i)\nX-Forwarded-For:([^\r\n]*)")


class Gone(BaseException):
    """The client is not there any more; nothing can be said to it, and no handler can help it."""


class Connection:
    """One client. The loop owns it in every state but `busy`, when one worker does."""

    def __init__(self, sock: socket.socket, address: Any, limits: Limits) -> None:
        self.sock = sock
        self.address = address
        self.limits = limits
        self.state: State = "head"
        self.buffer = bytearray()
        self.deadline = 0.0
        self.patience = 0.0
        self.discarded = 0
        self.continue_due = False
        self.keep = False
        self.abort = False
        self.handler: Any = None
        self.recalled = False
        self.network = self.source = ""
        """By what its address is counted, empty for a proxy's; and by what that of its last request's client."""
        self.wanted = self.length = 0
        """How many bytes make its request whole, and its body, if they are few enough to wait for without a worker."""
        self.incoming = False
        """Whether more of its request's body is on the way than is waited for."""
        self.outgoing = bytearray()
        """Of a stream, what the client has not taken yet."""

    @property
    def parked(self) -> Any:
        """What the request waits with (`parking.Ticket`), if it does."""
        return self.handler.parking.ticket if self.handler is not None else None

    def vacate(self) -> None:
        """No request is carried out on it any more."""
        handler, self.handler = self.handler, None
        if handler is not None:
            handler.parking.vacate()
            handler.abandon()

    @property
    def is_spare(self) -> bool:
        """Whether closing it would lose no request."""
        return self.state == "closing" or (self.state == "head" and not self.buffer)

    def received(self, data: bytes) -> bool:
        """Keep bytes of a head; whether it is now complete or too large to become so."""
        seen = max(0, len(self.buffer) - 3) if data else 0  # without data, what came behind a body is yet unseen
        self.buffer += data
        while self.buffer.startswith(b"\r\n"):
            del self.buffer[:2]
            seen = 0
        return bool(_HEAD_END.search(self.buffer, seen)) or len(self.buffer) > self.limits.head_bytes

    def take_head(self) -> bytes:
        """The bytes of the head, which leave the buffer; all of it if its end is not in sight."""
        found = _HEAD_END.search(self.buffer)
        end = found.end() if found else len(self.buffer)
        head = bytes(self.buffer[:end])
        del self.buffer[:end]
        return head

    def measure(self) -> None:
        """The head is complete: note what of the body is still to come."""
        found = _HEAD_END.search(self.buffer)
        end = found.end() if found else len(self.buffer)
        lengths = _LENGTH.findall(self.buffer, 0, end)
        short = len(lengths) == 1 and int(lengths[0]) <= self.limits.gathered_bytes
        # Whoever expects a word before the body gets it from the worker; what is in doubt is the parser's to refuse;
        # and of an upload every byte that came is kept, also of one that is cut.
        odd = bool(_AT_ONCE.search(self.buffer, 0, end)) or self.buffer.startswith(b"PUT ")
        there = len(lengths) == 1 and len(self.buffer) >= end + int(lengths[0])
        self.incoming = (odd or (bool(lengths) and not short)) and not there
        self.length = int(lengths[0]) if short and not odd else 0
        self.wanted = end + self.length if self.length else 0

    @property
    def whole(self) -> bool:
        """Whether what is waited for without a worker is there."""
        return len(self.buffer) >= self.wanted

    def forwarded(self) -> str:
        """What the head that is there says in `X-Forwarded-For`, in the last of such fields."""
        end = _HEAD_END.search(self.buffer)
        found = _FORWARDED.findall(self.buffer, 0, end.start() if end else len(self.buffer))
        return bytes(found[-1]).decode("latin-1") if found else ""

    def read1(self, size: int) -> bytes:
        """At most `size` body bytes, b"" at the end. Sends a due 100 Continue first. Raises OSError."""
        if not self.buffer:
            self._receive()
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def readline(self, size: int) -> bytes:
        """A line with its LF, cut at `size` bytes or the end. Raises OSError."""
        line = b""
        while len(line) < size and not line.endswith(b"\n"):
            if not self.buffer:
                self._receive()
            if not self.buffer:
                break
            end = self.buffer.find(b"\n", 0, size - len(line)) + 1
            line += self.read1(end or size - len(line))
        return line

    def _receive(self) -> None:
        if self.patience <= 0:
            raise TimeoutError
        self.sock.settimeout(self.patience)
        if self.continue_due:
            self.continue_due = False
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        began = monotonic()
        data = self.sock.recv(BLOCK)
        earned = len(data) / self.limits.slowest_rate - (monotonic() - began)
        self.patience = min(self.limits.body_seconds, self.patience + earned)
        self.buffer += data

    def write(self, data: bytes) -> None:
        """Send `data`, but for what a slow client does not take in a moment: that is `outgoing`. Raises `Gone`."""
        self.outgoing += data
        self.flush()
        end = monotonic() + self.limits.write_moment
        while self.outgoing and (left := end - monotonic()) > 0:
            poll = select.poll()  # which knows descriptors of any number
            poll.register(self.sock, select.POLLOUT)
            poll.poll(left * 1000)
            self.flush()

    def check_present(self) -> None:
        """Raise `Gone` if the client is known to have hung up; what it sent meanwhile stays unread."""
        try:
            self.sock.setblocking(False)
            there = self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError as error:
            raise Gone from error
        if not there:
            raise Gone

    def flush(self) -> None:
        """Send what the client takes of `outgoing` just now. Raises `Gone`."""
        try:
            self.sock.setblocking(False)
            while self.outgoing:
                del self.outgoing[: self.sock.send(self.outgoing[:BLOCK])]
        except BlockingIOError:
            return
        except OSError as error:
            raise Gone from error

    def close(self) -> None:
        """Close; with a reset if the answer broke off, for else its end might look complete."""
        if self.abort:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises `Invalid("cannot-listen")`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OverflowError as error:
        raise Invalid("cannot-listen", f"{host}:{port}", "cannot listen there: a port is from 0 to 65535") from error
    except OSError as error:
        # create_server puts the address into its message, which says it already.
        reason = str(error.strerror).partition(" (while ")[0].lower()
        raise Invalid("cannot-listen", f"{host}:{port}", f"cannot listen there: {reason}") from error


def base_url(host: str, port: int) -> str:
    """The URL a browser on this machine can open: a wildcard address becomes the loopback one."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def descriptors(connections: int) -> int:
    """How many files may be open: twice as many as connections, and more, where the system lets us say so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
