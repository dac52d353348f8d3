"""`taskrepo clone`: a clone in which git signs, pushes requests, and knows the API key; or the repair of one.

* The clone is an ordinary one: everything that is set is set in its own configuration, for stock git, and nothing of
  the person's or the machine's is changed.
* The API key is in no address and in no configuration. It is in a file that only its owner may read, or stays in the
  environment; either way git sends it to this exchange's host and to no other.
* What is there already is kept: a signing key that counts, a branch with commits of its own, changed files.

>>> taskrepo clone https://tasks.example                                                # doctest: +SKIP
exchange is a clone of https://tasks.example, where you are bob
"""

import os
import shlex
import socket
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from getpass import getpass
from pathlib import Path
from shutil import which
from typing import Any, Final
from urllib.parse import urlsplit

from taskrepo.client import Client
from taskrepo.errors import Invalid
from taskrepo.folders import read_bounded
from taskrepo.signing import parse_public_key
from taskrepo.terminal import Answer, Terminal
from taskrepo.workclone import OWN, TARGET, UPSTREAM, WorkClone, git, must

PATH: Final = "/git/exchange.git"
"""Where an exchange serves its ledger to git."""
_FOLDER: Final = "exchange"
_KEY: Final = f"{OWN}/key"
_SIGNING: Final = f"{OWN}/signing_key"
_OLDEST: Final = (2, 34)  # the first git that signs with SSH keys
# Asked by git for a user name and password, in sh; the file goes before the environment, which may hold another's key.
_HELPER: Final = (
    f'!f() {{ test "$1" = get || exit 0; key=$(cat "$(git rev-parse --git-path {_KEY})" 2>/dev/null)'
    ' || key=$TASKREPO_KEY; test -z "$key" || printf "username=me\\npassword=%s\\n" "$key"; }; f'
)


def clone(args: Namespace, terminal: Terminal) -> Answer:
    """Make a clone, or set one right that is there."""
    base = args.address.rstrip("/").removesuffix(PATH)
    _check_programs()
    top = Path(args.folder or _FOLDER)
    fresh = _is_fresh(top, base + PATH)
    secret = _secret(args, top)
    with Client(base, secret) as client:
        actor = client.me()["actor"]
        if fresh:
            top.mkdir(parents=True, exist_ok=True)
            must(git(top, "init", "--quiet", "--initial-branch=main"), "git init")
        found = WorkClone(top.absolute(), Path(git(top, "rev-parse", "--absolute-git-dir").text))
        _keep(found, secret, in_file=not args.no_key_file)
        signing, public, made = _signing_key(found, args.signing_key, actor)
        fingerprint, registered = _register(client, actor, public)
    _configure(found, base, actor["id"], signing)
    large = _set_up_lfs(found)
    moved = _check_out(found)
    told = {
        "folder": str(top), "url": base, "actor": actor["id"], "new": fresh, "signing_key": str(signing),
        "fingerprint": fingerprint, "registered": registered, "lfs": large, "up_to_date": moved,
    }  # fmt: skip
    return Answer(told, tuple(_told(told, made=made, in_file=not args.no_key_file)))


def _told(told: dict[str, Any], *, made: bool, in_file: bool) -> Iterator[str]:
    what = "is a clone" if told["new"] else "was a clone already, and is set up again: one"
    yield f"{told['folder']} {what} of {told['url']}, where you are {told['actor']}"
    yield f"You sign with {told['signing_key']}{', which is new' if made else ''}: {told['fingerprint']}"
    yield f"  {'It was registered as yours' if told['registered'] else 'It is yours in the ledger already'}"
    kept = f"in .git/{_KEY}, which only you can read" if in_file else "in TASKREPO_KEY, where git looks for it"
    yield f"Your API key is {kept}"
    large = "stay behind until you ask: git lfs pull --include PATH" if told["lfs"] else "need git-lfs, not found here"
    yield f"Large files {large}"
    if not told["up_to_date"]:
        yield "Your branch was left where it is: it has commits or changes of its own"
    yield f"Now: cd {shlex.quote(told['folder'])} && taskrepo do claim ID"


# ── before anything is made ─────────────────────────────────────────────────────────────────────────────────────────


def _check_programs() -> None:
    """Raise `Invalid` unless git and ssh-keygen are there, and can sign together."""
    words = git(Path(), "--version").text.split()
    version = words[2] if len(words) > 2 else "0"
    parts = tuple(int(part) if part.isdigit() else 0 for part in version.split(".")[:2])
    if parts < _OLDEST:
        raise Invalid("old-git", "git", f"is {version}; 2.34 is the first that signs with SSH keys")
    if which("ssh-keygen") is None:
        raise Invalid("no-ssh-keygen", "ssh-keygen", "is not installed; it is part of OpenSSH")


def _is_fresh(top: Path, url: str) -> bool:
    """Whether there is nothing at `top` yet. Raises `Invalid("folder-exists")` for anything but a clone of `url`."""
    if not os.path.lexists(top) or (top.is_dir() and not any(top.iterdir())):
        return True
    if not (top / ".git").exists():
        raise Invalid("folder-exists", str(top), "is there and is no clone; give another: taskrepo clone URL FOLDER")
    remote = git(top, "config", "--local", "--get", "remote.origin.url").text
    if remote and _without_secret(remote) != url:
        raise Invalid("folder-exists", str(top), f"is a clone of {_without_secret(remote)}, not of {url}")
    return False


def _without_secret(url: str) -> str:
    """An address without what somebody may have put before its host."""
    scheme, mark, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}" if mark else url


def _secret(args: Namespace, top: Path) -> str:
    """The API key: given, kept in the clone, or typed. Raises `Invalid("no-key")`."""
    given: str | None = getattr(args, "key", None) or os.environ.get("TASKREPO_KEY")
    if given:
        return given
    kept = top / ".git" / _KEY
    if kept.is_file():
        return kept.read_text().strip()
    if not sys.stdin.isatty():
        raise Invalid("no-key", "TASKREPO_KEY (or --key)", "is not set: your API key, which your page can make")
    return getpass("Your API key: ").strip()


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _keep(found: WorkClone, secret: str, *, in_file: bool) -> None:
    """Put the API key where git's helper finds it, or leave it to the environment."""
    path = found.folder / _KEY
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.parent.chmod(0o700)
    path.unlink(missing_ok=True)
    if in_file:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{secret}\n")


def _signing_key(found: WorkClone, named: str | None, actor: dict[str, Any]) -> tuple[Path, str, bool]:
    """The file git is to sign with, its public key as a line, and whether it was made now.

    It is the one that was named, else the one the clone has, unless that counts no more, else a new one.
    """
    if named:
        file = Path(named).expanduser().absolute()
        return file, _public_line(file), False
    had, own = found.run("config", "--local", "--get", "user.signingkey").text, found.folder / _SIGNING
    for file in (Path(had).expanduser() if had else own, own):
        if file.is_file() and not _is_over(line := _public_line(file), actor):
            return file, line, False
    for old in (own, own.with_name(f"{own.name}.pub")):
        old.unlink(missing_ok=True)
    comment = f"{actor['id']}@{socket.gethostname()}"
    _keygen("-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(own))
    return own, _public_line(own), True


def _is_over(line: str, actor: dict[str, Any]) -> bool:
    """Whether the ledger has the key as one that was the actor's and counts no more."""
    known = _known(line, actor)
    return known is not None and bool(known["retired_at"] or known["compromised_at"])


def _known(line: str, actor: dict[str, Any]) -> dict[str, Any] | None:
    fingerprint = parse_public_key(line)[1]
    return next((key for key in actor["public_keys"] if key["fingerprint"] == fingerprint), None)


def _public_line(file: Path) -> str:
    """The public key of a key file: its own text, the file beside it, or what ssh-keygen makes of a private key."""
    beside = file if file.suffix == ".pub" else file.with_name(f"{file.name}.pub")
    if beside.is_file():
        return read_bounded(beside, 16_000).decode("utf-8", "replace").strip()
    if not file.is_file():
        raise Invalid("unreadable-file", str(file), "does not exist; --signing-key takes an SSH key")
    return _keygen("-y", "-f", str(file))


def _keygen(*words: str) -> str:
    done = subprocess.run(["ssh-keygen", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Invalid("unusable-key", words[-1], (done.stderr.strip().splitlines() or ["ssh-keygen failed"])[-1])
    return done.stdout.strip()


def _register(client: Client, actor: dict[str, Any], line: str) -> tuple[str, bool]:
    """The key's fingerprint, and whether it had to be registered as the actor's. Raises what the exchange refuses."""
    fingerprint = parse_public_key(line)[1]
    if _is_over(line, actor):
        raise Invalid("retired-key", fingerprint, "was retired, and never counts again; sign with another key")
    if _known(line, actor) is not None:
        return fingerprint, False
    client.add_public_key(actor["id"], f"git on {socket.gethostname()}"[:80], line)
    return fingerprint, True


# ── the clone's configuration ───────────────────────────────────────────────────────────────────────────────────────


def _configure(found: WorkClone, base: str, actor: str, signing: Path) -> None:
    """Set what stock git needs to fetch, sign and push here."""
    parts = urlsplit(base)
    host = f"credential.{parts.scheme}://{parts.netloc}.helper"
    lists = {
        # An empty helper shuts off those of the person and the machine, which might store the key elsewhere.
        host: ("", _HELPER),
        "remote.origin.url": (base + PATH,),
        "remote.origin.fetch": (f"+refs/heads/*:{UPSTREAM.rpartition('/')[0]}/*",),
        "remote.origin.push": (f"HEAD:{TARGET}",),
        "branch.main.remote": ("origin",), "branch.main.merge": ("refs/heads/main",),
        "user.name": (actor,), "user.email": (f"{actor}@taskrepo.invalid",), "user.signingkey": (str(signing),),
        "gpg.format": ("ssh",), "commit.gpgsign": ("true",), "push.gpgSign": ("false",), "pull.ff": ("only",),
        "push.negotiate": ("true",),
        "gpg.ssh.allowedSignersFile": (str(found.top / "allowed_signers"),),
    }  # fmt: skip
    for name, values in lists.items():
        found.run("config", "--local", "--unset-all", name)
        for value in values:
            must(found.run("config", "--local", "--add", name, value), "git config")


def _set_up_lfs(found: WorkClone) -> bool:
    """Have git-lfs work here, if it is installed: what is large is sent with a push, and fetched when asked for."""
    if found.run("lfs", "version").code:
        return False
    url = f"{found.setting('remote.origin.url')}/info/lfs"
    must(found.run("config", "--local", "lfs.url", url), "git config")
    must(found.run("config", "--local", f"lfs.{url}.locksverify", "false"), "git config")
    must(found.run("lfs", "install", "--local", "--skip-smudge"), "git lfs install")
    return True


def _check_out(found: WorkClone) -> bool:
    """Fetch, and bring the branch to origin/main; a branch with work of its own is left alone, which gives `False`."""
    found.fetch()
    if found.commit("HEAD") is None:
        must(found.run("reset", "--quiet", "--hard", UPSTREAM), "git reset")
        return True
    return found.forward()
