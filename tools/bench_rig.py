"""What the benchmarks share: a server of its own process, clients at once, and words on the machine.

>>> with server(config) as port:                                                        # doctest: +SKIP
...     note(f"on {machine()}, port {port}")
"""

import contextlib
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from taskrepo.config import Config


@contextlib.contextmanager
def server(config: Config) -> Iterator[int]:
    """A server process on a free port; yields the port."""
    script = Path(sys.executable).with_name("taskrepo")
    command = [str(script), "serve", "--data", str(config.data), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "http://" in line:
                yield int(line.split("http://", 1)[1].split(":")[1].split("/")[0].split()[0])
                return
        raise SystemExit("the server did not start")
    finally:
        process.terminate()
        process.wait(30)


def parallel(clients: int, work: Callable[[int], object]) -> None:
    """`work` of each client's number, all at once; raises the first failure."""
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def machine() -> str:
    """What it runs on."""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.release()}"


def note(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)
