"""The attackers of `tools/abuse`: slow clients, a huge push and a flood of requests, in a process of their own.

* Each slow client has an address of its own in 127.0.0.0/8, as if they were many machines: what is limited for one
  address does not stop them. One that is cut off comes back.
* The flood comes from four addresses: a page and a document without a key, and wrong keys.
* What they met is counted by what they did and the status they were answered with.

>>> attack(8753, key, sha256, seconds=10, slow=200, push_bytes=1 << 30, per_second=400)   # doctest: +SKIP
{'slow head 408': 61, 'flood 429': 3810, …}
"""

import asyncio
import base64
import os
import socket
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Final

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_GIT: Final = "/git/exchange.git/git-receive-pack"
_REF: Final = b"0" * 40 + b" " + b"1" * 40 + b" refs/for/main\0 report-status agent=abuse"


def attack(
    port: int, key: str, path: str, *, seconds: float, slow: int, push_bytes: int, per_second: int
) -> dict[str, int]:
    """Everything at once; `path` is a large file below the API. What was met, by how often."""
    return asyncio.run(_attack(port, key, path, seconds, slow, push_bytes, per_second))


async def _attack(
    port: int, key: str, path: str, seconds: float, slow: int, push_bytes: int, per_second: int
) -> dict[str, int]:
    met: Counter[str] = Counter()
    end = time.monotonic() + seconds
    kinds = (_slow_head, _slow_form, _slow_upload, _slow_reader)
    work = [_again(kinds[n % 4], port, f"127.2.{n // 250}.{1 + n % 250}", key, path, met, end) for n in range(slow)]
    work += [_flood(port, f"127.3.0.{n}", met, end, per_second / 4) for n in range(1, 5)]
    work += [_push(port, key, met, push_bytes)]
    await asyncio.gather(*work)
    return dict(met)


@asynccontextmanager
async def _connected(port: int, address: str, buffer: int = 0) -> AsyncIterator[Stream]:
    sock = socket.socket()
    if buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.bind((address, 0))
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=1 << 14)
    except OSError:
        sock.close()
        raise
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _again(kind, port, address, key, path, met, end) -> None:  # type: ignore[no-untyped-def]
    """A slow client, for as long as it takes."""
    while time.monotonic() < end:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await kind(port, address, key, path, met, end)
        await asyncio.sleep(0.2)


async def _drip(stream: Stream, data: Iterator[bytes], pause: float, end: float, met: Counter[str], name: str) -> None:
    """Send piece by piece until the server says something, or the time is over."""
    reader, writer = stream
    said = asyncio.ensure_future(reader.read(12))
    try:
        while time.monotonic() < end and not said.done():
            writer.write(next(data, b""))
            await writer.drain()
            await asyncio.wait([said], timeout=pause)
        met[f"{name} {_status(said.result()) if said.done() else 'held'}"] += 1
    finally:
        said.cancel()


def _status(head: bytes) -> str:
    return head[9:12].decode("latin-1") if head.startswith(b"HTTP/") else "closed"


async def _slow_head(port, address, key, path, met, end) -> None:  # type: ignore[no-untyped-def]
    head = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"a" * 10_000
    async with _connected(port, address) as stream:
        await _drip(stream, (head[n : n + 1] for n in range(len(head))), 0.5, end, met, "slow head")


async def _slow_form(port, address, key, path, met, end) -> None:  # type: ignore[no-untyped-def]
    async with _connected(port, address) as stream:
        stream[1].write(
            b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: 900000\r\n\r\n"
        )
        await _drip(stream, (b"a" * 600 for _ in count()), 0.5, end, met, "slow form")


async def _slow_upload(port, address, key, path, met, end) -> None:  # type: ignore[no-untyped-def]
    name = os.urandom(32).hex()
    head = f"PUT /api/v1/uploads/{name} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    head += "Content-Length: 9000000\r\n\r\n"
    async with _connected(port, address) as stream:
        stream[1].write(head.encode())
        await _drip(stream, (b"a" * 1500 for _ in count()), 0.5, end, met, "slow upload")


async def _slow_reader(port, address, key, path, met, end) -> None:  # type: ignore[no-untyped-def]
    async with _connected(port, address, 4096) as (reader, writer):
        head = f"GET /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
        writer.write(head.encode())
        status = _status(await reader.read(12))
        met[f"slow reader {status}"] += 1
        while time.monotonic() < end and await reader.read(512):
            await asyncio.sleep(0.5)


async def _flood(port: int, address: str, met: Counter[str], end: float, per_second: float) -> None:
    """So many requests a second, on eight connections, if they are answered as quickly."""
    due = time.monotonic()
    numbers = count()

    async def one() -> None:
        nonlocal due
        while time.monotonic() < end:
            due = max(due + 1 / per_second, time.monotonic() - 1)
            await asyncio.sleep(due - time.monotonic())
            with suppress(OSError, asyncio.IncompleteReadError):
                async with asyncio.timeout(30), _connected(port, address) as (reader, writer):
                    writer.write(_flooding(next(numbers)))
                    met[f"flood {_status(await reader.read(12))}"] += 1
                    while await reader.read(1 << 14):
                        pass

    await asyncio.gather(*(one() for _ in range(8)))


def _flooding(number: int) -> bytes:
    close = "Host: x\r\nConnection: close\r\n"
    if number % 3 == 0:
        return f"GET /login HTTP/1.1\r\n{close}\r\n".encode()
    if number % 3 == 1:
        return f"GET /api/v1/tasks HTTP/1.1\r\n{close}Authorization: Bearer tr_{number:08}_{'0' * 27}\r\n\r\n".encode()
    return f"GET /api/v1/openapi.json HTTP/1.1\r\n{close}\r\n".encode()


async def _push(port: int, key: str, met: Counter[str], size: int) -> None:
    """A pack with one object of so many bytes, which cannot be compressed, in chunks."""
    login = base64.b64encode(f"x:{key}".encode()).decode()
    head = (
        f"POST {_GIT} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nTransfer-Encoding: chunked\r\n"
        "Content-Type: application/x-git-receive-pack-request\r\n\r\n"
    )
    sent = 0
    try:
        async with _connected(port, "127.4.0.1") as (reader, writer):
            writer.write(head.encode())
            said = asyncio.ensure_future(reader.read(4096))
            for piece in _pack(size):
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
                sent += len(piece)
                if said.done():
                    break
            else:
                writer.write(b"0\r\n\r\n")
            answer = await said
            met[f"push {_status(answer)}{' too large' if b'exceeds maximum' in answer else ''}"] += 1
    except OSError:
        met["push closed"] += 1
    met["push bytes"] += sent


def _pack(size: int) -> Iterator[bytes]:
    yield b"%04x%b0000" % (len(_REF) + 4, _REF)
    header, rest = bytearray([0x30 | size & 0x0F]), size >> 4
    while rest:
        header[-1] |= 0x80
        header.append(rest & 0x7F)
        rest >>= 7
    yield b"PACK\0\0\0\2\0\0\0\1" + bytes(header)
    stored, noise = zlib.compressobj(0), os.urandom(1 << 20)
    for start in range(0, size, len(noise)):
        if piece := stored.compress(noise[: size - start]):
            yield piece
    yield stored.flush()
    yield b"\0" * 20
