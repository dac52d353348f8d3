"""What `tools/serve` does once the packages are there: make an exchange if there is none, say how to sign in, serve.

* The address is known, and free, before anything is made or shown: the sign-in link printed can be opened as it stands.
* An API key is shown once, when the exchange is made, and is stored nowhere readable.
* The server replaces this process, so signals and the exit code are the server's own.
"""

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any, Final, NoReturn

from taskrepo.cli import parse
from taskrepo.config import DEFAULT_HOST, DEFAULT_PORT, Config
from taskrepo.errors import Invalid
from taskrepo.web.connection import base_url, listen

CHECKOUT: Final = Path(__file__).resolve().parent.parent
TASKREPO: Final = Path(sys.executable).with_name("taskrepo")


def fail(sentence: str) -> NoReturn:
    """End with a sentence for a person."""
    sys.exit(f"serve: {sentence}")


def understood(arguments: list[str]) -> Namespace:
    """The arguments as `taskrepo serve` reads them, with the data folder of the checkout if none is named."""
    try:
        given = parse(["serve", *arguments])
    except Invalid as error:
        fail(error.message.replace("taskrepo serve", "tools/serve").replace("taskrepo --help", "tools/serve --help"))
    named = getattr(given, "data", None) or os.environ.get("TASKREPO_DATA")
    given.data = Path(named or CHECKOUT / "data" / "exchange").absolute()
    return given


def free_port(host: str, port: int) -> int:
    """The port to serve at: `port`, or any that is free for 0. Ends here if nobody can listen there."""
    try:
        with listen(host, port) as sock:
            return int(sock.getsockname()[1])
    except Invalid as error:
        reason = error.message.partition("cannot listen there: ")[2]
        fail(f"cannot listen at {host}:{port}: {reason}. Choose another place with --host or --port.")


def asked(data: Path, *words: str) -> dict[str, Any]:
    """The answer of a `taskrepo` command on this data folder; ends here with its reason if it is refused."""
    done = subprocess.run([TASKREPO, *words, "--data", data, "--json"], stdout=subprocess.PIPE, text=True)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        fail(f"`taskrepo {' '.join(words)}` failed with exit code {done.returncode}.")
    if done.returncode:
        fail(f"`taskrepo {' '.join(words)}`: {answer.get('detail', answer)}")
    return answer


def admin_of(data: Path) -> str | None:
    """An active human admin, `admin` if there is one of that name."""
    actors = asked(data, "actor", "list")["actors"]
    admins = [a["id"] for a in actors if "admin" in a["grants"] and a["active"] and a["type"] == "human"]
    return "admin" if "admin" in admins else min(admins, default=None)


def introduce(data: Path, url: str) -> None:
    """Make the exchange if there is none, and print how to reach it and sign in."""
    made = None if Config(data).exists else asked(data, "init")
    admin = made["admin"] if made else admin_of(data)
    link = made["link"] if made else asked(data, "actor", "link", admin)["link"] if admin else None
    print(f"Exchange:   {data}{' (new)' if made else ''}", f"Address:    {url}", sep="\n")
    if link:
        print(f"Sign in as {admin}, once, within 15 minutes:\n            {url}{link}")
    else:
        print("Sign in:    no human admin is active; `taskrepo actor list` shows who is there")
    if made:
        print(f"API key of {admin} — SHOWN ONLY THIS ONCE, keep it now:\n            {made['key']}")
    sys.stdout.flush()


def main(arguments: list[str]) -> None:
    """Does not return: the server takes over."""
    if {"-h", "--help"} & set(arguments):
        print(
            "tools/serve prepares this checkout, makes an exchange if there is none (in data/exchange of the\n"
            "checkout, unless --data or TASKREPO_DATA names another folder), says how to sign in, and runs:\n",
            flush=True,
        )
        os.execv(TASKREPO, ["taskrepo", "serve", "--help"])
    given = understood(arguments)
    host = given.host or DEFAULT_HOST
    port = free_port(host, DEFAULT_PORT if given.port is None else given.port)
    introduce(given.data, base_url(host, port))
    # What comes last counts, so a port of 0 becomes the one that was found.
    place = ["--data", str(given.data), "--host", host, "--port", str(port)]
    os.execv(TASKREPO, ["taskrepo", "serve", *arguments, *place])


if __name__ == "__main__":
    main(sys.argv[1:])
