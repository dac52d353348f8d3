"""Stock git against a served exchange: clones, fetches and refused pushes over smart HTTP, and their bounds."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import pytest

from taskrepo import hooks, parse
from taskrepo.model import Manifest
from taskrepo.web.framing import Limits
from tests.support import ledgers
from tests.support.githttp import (
    PATH,
    address,
    asked,
    at_work,
    cloned,
    committed,
    git,
    processes,
    stalled,
    stored,
    wanting,
)
from tests.support.http import Site, running, served
from tests.support.ledgers import until
from tests.support.person import Person
from tests.support.waiting import PATIENCE

VERSIONS: Final = (0, 1, 2)
REPLACE: Final = f"refs/replace/{'1' * 40}"
# Patient with clients on a busy machine, and quick to stop.
PATIENT: Final = Limits(stop_seconds=3.0)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange with a few tasks."""
    with running(tmp_path_factory.mktemp("git-http"), limits=PATIENT) as running_site:
        for number in range(3):
            running_site.task(title=f"Task {number}")
        yield running_site


@pytest.fixture
def repository(site: Site) -> Iterator[Path]:
    """Its repository, in which nothing is at work when the test is over."""
    yield site.exchange.config.repository
    until(lambda: not at_work(site.exchange.config.repository))


@pytest.fixture(scope="module")
def clone(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bob's clone, to push from."""
    return cloned(site, tmp_path_factory.mktemp("bob") / "clone")


@pytest.fixture(scope="module")
def large_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange of six workers, with more in it than the buffers of a connection hold."""
    with running(tmp_path_factory.mktemp("git-http-large"), limits=PATIENT, workers=6) as running_site:
        files = [ledgers.upload(running_site.exchange, f"input/{n}.bin", os.urandom(1000 << 10)) for n in range(14)]
        running_site.exchange.create(Manifest("Large", "Large."), tuple(files), "alice", via="api")
        yield running_site


@pytest.fixture
def large(large_site: Site) -> Iterator[Site]:
    """The same, in which nothing is at work when the test is over."""
    yield large_site
    until(lambda: not at_work(large_site.exchange.config.repository))


# ── clone and fetch ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", VERSIONS)
def test_a_clone_is_the_ledger(site: Site, tmp_path: Path, version: int) -> None:
    """Each version of the protocol is spoken as it was asked for, and brings every commit and file, and main alone."""
    asked_for = ("-c", f"protocol.version={version}")
    ran = git(tmp_path, *asked_for, "clone", address(site), "clone", GIT_TRACE_PACKET="1")
    ran.check()
    spoken = re.findall(r"< (version [0-9])", ran.err)
    assert spoken[:1] == ([f"version {version}"] if version else [])
    clone = tmp_path / "clone"
    assert git(clone, "rev-parse", "origin/main").check().strip() == site.head()
    assert git(clone, "for-each-ref", "--format=%(refname)", "refs/remotes").check().split() == [
        "refs/remotes/origin/HEAD", "refs/remotes/origin/main",
    ]  # fmt: skip
    ledgers.sound(clone)
    assert len(list(clone.glob("tasks/?/?/?/*/manifest.yaml"))) >= 3
    assert git(clone, "status", "--short").check() == ""


def test_a_fetch_brings_what_is_new(site: Site, tmp_path: Path) -> None:
    """After an event a pull goes forward to it; after none there is nothing to do."""
    clone = cloned(site, tmp_path / "clone")
    task = site.task(title="Later")
    git(clone, "pull", "-q", "--ff-only").check()
    assert git(clone, "rev-parse", "HEAD").check().strip() == site.head()
    assert task in git(clone, "log", "-1", "--format=%s").check()
    assert git(clone, "fetch", "--verbose").check() == "" and "up to date" in git(clone, "fetch", "-v").err


def test_a_shallow_clone_can_be_deepened(site: Site, tmp_path: Path) -> None:
    """`--depth 1` brings one commit, and the rest when it is asked for."""
    clone = cloned(site, tmp_path / "clone", "--depth=1")
    assert git(clone, "rev-list", "--count", "HEAD").check() == "1\n"
    git(clone, "fetch", "-q", "--deepen=1").check()
    assert git(clone, "rev-list", "--count", "HEAD").check() == "2\n"
    git(clone, "fetch", "-q", "--unshallow").check()
    assert ledgers.line(clone) == ledgers.line(site.exchange.config.repository)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_partial_clone_fetches_files_when_they_are_needed(site: Site, tmp_path: Path, version: int) -> None:
    """Without blobs at first, every version brings them at the checkout, by their ids."""
    settings = ("-c", f"protocol.version={version}")
    clone = tmp_path / "clone"
    git(tmp_path, *settings, "clone", "-q", "--no-checkout", "--filter=blob:none", address(site), clone).check()
    listed = git(clone, "rev-list", "--objects", "--missing=print", "HEAD").check()
    assert sum(line.startswith("?") for line in listed.splitlines()) > 6
    git(clone, *settings, "checkout", "-q", "main").check()
    assert (clone / "README.md").exists()
    assert git(clone, "status", "--short").check() == ""


def test_only_main_is_seen(site: Site, tmp_path: Path, repository: Path) -> None:
    """Whatever other refs somebody makes in the repository, no client hears of them, to fetch or to push."""
    head = site.head() or ""
    made = ("refs/heads/other", "refs/heads/main2", "refs/tags/v1", "refs/notes/commits", "refs/for/main", "refs/mine")
    for ref in made:
        git(repository, "update-ref", ref, head).check()
    try:
        for version in VERSIONS:
            listed = git(tmp_path, "-c", f"protocol.version={version}", "ls-remote", address(site)).check()
            assert listed.split() == [head, "HEAD", head, "refs/heads/main"]
        shown = asked(site, "GET", f"{PATH}/info/refs?service=git-receive-pack").data
        assert sorted(re.findall(rb"refs/[a-z0-9/]+", shown)) == [b"refs/for/main", b"refs/heads/main"]
        git(tmp_path, "clone", "-q", "--mirror", address(site), "mirror").check()
        assert git(tmp_path / "mirror", "for-each-ref", "--format=%(refname)").check() == "refs/heads/main\n"
    finally:
        for ref in made:
            git(repository, "update-ref", "-d", ref).check()


def test_a_long_negotiation_comes_in_gzip(site: Site, tmp_path: Path) -> None:
    """A client with many commits of its own, newer than what it shares with the exchange, finds what that is."""
    clone = cloned(site, tmp_path / "clone")
    commit = "commit refs/heads/b{0}\ncommitter B <b@b> {1} +0000\ndata 1\nx\nfrom refs/heads/main\n"
    lines = "\n".join(commit.format(number, 4_000_000_000 + number) for number in range(100))
    subprocess.run(["git", "-C", clone, "fast-import", "--quiet"], input=lines.encode(), check=True)
    site.task(title="News")
    ran = git(clone, "fetch", GIT_TRACE_CURL="1", GIT_TRACE_CURL_NO_DATA="1")
    ran.check()
    assert "content-encoding: gzip" in ran.err.lower()
    assert git(clone, "rev-parse", "origin/main").check().strip() == site.head()


def test_the_page_of_help_can_be_pasted(site: Site, tmp_path: Path) -> None:
    """The lines of the help page store the key where git finds it, and clone."""
    source = Person(site.url).get("/help/git").html
    found = re.search(r'<pre id="clone">(.*?)</pre>', source, re.DOTALL)
    assert found
    lines = found[1].replace("&quot;", '"').replace("&#039;", "'")
    environment = {**os.environ, "HOME": str(tmp_path), "TASKREPO_KEY": site.keys["bob"]}
    environment["GIT_CONFIG_GLOBAL"] = str(tmp_path / "config")
    words = ["bash", "-euc", lines]
    subprocess.run(words, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=PATIENCE)
    assert git(tmp_path / "exchange", "rev-parse", "HEAD").check().strip() == site.head()
    assert site.keys["bob"] not in (tmp_path / "exchange" / ".git" / "config").read_text()


def test_nothing_of_the_machines_configuration_is_read(
    site: Site, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server's environment says to git stops no clone, and a repository of another user is served."""
    (tmp_path / ".gitconfig").write_text("this is no configuration\n")
    for name, value in (
        ("HOME", str(tmp_path)), ("GIT_CONFIG_GLOBAL", str(tmp_path / ".gitconfig")), ("GIT_DIR", str(tmp_path)),
        ("GIT_OBJECT_DIRECTORY", str(tmp_path)), ("GIT_PROTOCOL", "version=1"), ("GIT_CONFIG_COUNT", "9"),
        ("GIT_ALTERNATE_OBJECT_DIRECTORIES", str(tmp_path)), ("GIT_EXEC_PATH", str(tmp_path)),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    if os.geteuid() == 0:
        os.chown(repository, 65534, 65534)
    try:
        done = asked(site, "GET", f"{PATH}/info/refs?service=git-upload-pack")
    finally:
        if os.geteuid() == 0:
            os.chown(repository, 0, 0)
    assert done.status == 200 and (site.head() or "x").encode() in done.data


# ── who may ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wrong_key_is_refused_in_words(site: Site, tmp_path: Path) -> None:
    """A wrong, revoked or missing key ends in words that git shows; the user's name makes no difference."""
    told = git(tmp_path, "clone", address(site, key="tr_00000000_wrong"), "a").err
    assert "remote: unauthenticated: the key is unknown or revoked" in told and "Authentication failed" in told
    key, secret = site.exchange.accounts.add_key("bob", "short", 0)
    git(tmp_path, "ls-remote", address(site, key=secret)).check()
    site.exchange.accounts.revoke_key(key.id, 1)
    assert "revoked" in git(tmp_path, "ls-remote", address(site, key=secret)).err
    assert "could not read Username" in git(tmp_path, "ls-remote", site.url + PATH).err
    git(tmp_path, "ls-remote", address(site, "alice", key=site.keys["bob"])).check()


def test_a_key_can_be_a_bearer(site: Site, tmp_path: Path) -> None:
    """`http.extraHeader` with the API's own header does as well, for programs that have no credential helper."""
    header = f"http.extraHeader=Authorization: Bearer {site.keys['bob']}"
    git(tmp_path, "-c", header, "ls-remote", site.url + PATH).check()


def test_who_is_suspended_is_told_so(site: Site, tmp_path: Path) -> None:
    """A suspended actor neither fetches nor pushes, and does again when that is over."""

    def active(state: bool) -> None:
        site.exchange.govern(parse.change_actor("carol", {"active": state}), "admin", via="cli")

    clone = cloned(site, tmp_path / "clone", actor="carol")
    active(False)
    try:
        for words in (("fetch",), ("push", "origin", "HEAD:refs/for/main")):
            told = git(clone, *words).err
            assert "remote: actor-suspended" in told and "403" in told
    finally:
        active(True)
    git(clone, "fetch").check()


# ── pushes, which the hook refuses ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [10, 6 << 20])
def test_a_push_is_refused_in_the_hooks_words(clone: Path, repository: Path, size: int) -> None:
    """Small, or large and chunked: the reason reaches the terminal, and nothing stays in the object store."""
    committed(clone, size)
    before = stored(repository)
    ran = git(clone, "push", "origin", "HEAD:refs/for/main", GIT_TRACE_CURL="1", GIT_TRACE_CURL_NO_DATA="1")
    chunked = re.search(r"=> Send header: transfer-encoding: chunked", ran.err, re.IGNORECASE)
    assert bool(chunked) == (size > 1 << 20)
    assert ran.code == 1 and "remote: taskrepo: refused: bad-commit: " in ran.err
    assert "[remote rejected] HEAD -> refs/for/main (pre-receive hook declined)" in ran.err
    assert stored(repository) == before


@pytest.mark.parametrize("ref", ["main", "refs/heads/new", "refs/tags/v1", "refs/notes/commits", REPLACE])
def test_every_other_ref_is_refused(site: Site, clone: Path, repository: Path, ref: str) -> None:
    """Also where git refuses by itself, the hook has its say; nothing is stored and no ref is made."""
    committed(clone)
    before, head = stored(repository), site.head()
    ran = git(clone, "push", "origin", f"HEAD:{ref}")
    assert ran.code == 1 and "remote: taskrepo: " in ran.err and "[remote rejected]" in ran.err
    assert stored(repository) == before and site.head() == head
    assert git(repository, "for-each-ref", "--format=%(refname)").check() == "refs/heads/main\n"


def test_a_deletion_is_refused(site: Site, clone: Path) -> None:
    """`main` cannot be deleted."""
    ran = git(clone, "push", "origin", ":main")
    assert ran.code == 1 and "[remote rejected] main" in ran.err and site.head()


@pytest.mark.parametrize("door", ["http", "path"])
def test_without_the_hooks_nothing_can_be_pushed(
    site: Site, clone: Path, tmp_path: Path, repository: Path, door: str
) -> None:
    """If the hooks are gone, or a person's configuration leads past them, no ref moves."""
    committed(clone)
    where = address(site) if door == "http" else repository
    (tmp_path / "config").write_text(f"[core]\n\thooksPath = {tmp_path}\n")
    head = site.head()
    told = git(clone, "push", where, "HEAD:refs/for/main", GIT_CONFIG_GLOBAL=str(tmp_path / "config")).err
    assert "remote: taskrepo: " in told
    for name in hooks.NAMES:
        (repository / "hooks" / name).unlink()
    try:
        for ref in ("refs/for/main", "refs/heads/main", "refs/heads/new"):
            ran = git(clone, "push", where, f"HEAD:{ref}")
            assert ran.code == 1 and "[remote rejected]" in ran.err
    finally:
        hooks.install(repository / "hooks")
    assert site.head() == head
    assert git(repository, "for-each-ref", "--format=%(refname)").check() == "refs/heads/main\n"


def test_a_hook_hears_who_pushes_and_nothing_else(
    clone: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its environment is git's own, the pusher and the push options; nothing of the server's or the client's."""
    monkeypatch.setenv("TASKREPO_SECRET", "hush")
    monkeypatch.setenv("HTTP_AUTHORIZATION", "hush")
    committed(clone)
    hook = repository / "hooks" / "pre-receive"
    try:
        hook.write_text("#!/bin/sh\nenv >&2\nexit 1\n")
        told = git(clone, "push", "-o", "dry-run", "origin", "HEAD:refs/for/main", TASKREPO_PUSHER="admin").err
    finally:
        hooks.install(repository / "hooks")
    heard = dict(re.findall(r"^remote: ([A-Z_0-9]+)=(.*?) *$", told, re.MULTILINE))
    assert heard["TASKREPO_PUSHER"] == "bob" and heard["GIT_PUSH_OPTION_0"] == "dry-run"
    assert heard["GIT_NO_REPLACE_OBJECTS"] == "1" and heard["HOME"] == os.devnull
    expected = {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG_COUNT", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_KEY_0",
        "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_VALUE_0", "GIT_DIR", "GIT_EXEC_PATH", "GIT_GRAFT_FILE",
        "GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PROTOCOL", "GIT_PUSH_OPTION_0", "GIT_PUSH_OPTION_COUNT",
        "GIT_QUARANTINE_PATH", "GIT_TERMINAL_PROMPT", "HOME", "LC_ALL", "PATH", "PWD", "TASKREPO_PUSHER",
    }  # fmt: skip
    assert heard.keys() - {"OLDPWD", "SHLVL", "_"} <= expected


def test_a_pack_over_the_limit_is_refused_in_words(site: Site, clone: Path, repository: Path) -> None:
    """A pack that is too large is taken no further than the limit, and its client hears why although it goes on."""
    committed(clone, 4 << 20)
    before = stored(repository)
    git(repository, "config", "receive.maxInputSize", str(1 << 20)).check()
    try:
        ran = git(clone, "push", "origin", "HEAD:refs/for/main")
    finally:
        assert site.exchange.store.repair_settings() == ["receive.maxInputSize"]
    assert ran.code == 1 and "remote: fatal: pack exceeds maximum allowed size (1024.00 KiB)" in ran.err
    assert "remote unpack failed" in ran.err
    until(lambda: stored(repository) == before)


# ── the programs and their places ───────────────────────────────────────────────────────────────────────────────────


def test_a_client_that_leaves_takes_its_programs_along(large: Site) -> None:
    """When the connection closes in the middle of an answer, every program that made it ends, and its place is free."""
    repository, head = large.exchange.config.repository, large.head() or ""
    for _ in range(3):  # there are two places
        with stalled(large, wanting(head)):
            until(lambda: any("pack-objects" in line for line in at_work(repository)))
        until(lambda: not at_work(repository))


def test_a_client_that_stops_in_the_middle_of_its_words_is_not_waited_for(site: Site, repository: Path) -> None:
    """A push that is cut off starts nothing that stays, and stores nothing."""
    before = stored(repository)
    # More than is waited for before git is started: many updates, and no end of them.
    updates = (f"{'0' * 40} {'1' * 40} refs/for/{number:05}\n".encode() for number in range(800))
    body = b"".join(b"%04x%b" % (len(update) + 4, update) for update in updates)
    head = f"POST {PATH}/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Length: {2 * len(body)}\r\n"
    head += f"Content-Type: application/x-git-receive-pack-request\r\nAuthorization: Bearer {site.keys['bob']}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", site.port), PATIENCE) as sock:
        sock.sendall(head.encode() + body)
        until(lambda: any("receive-pack" in line for line in at_work(repository)))
    until(lambda: not at_work(repository))
    assert stored(repository) == before


def test_there_are_only_so_many_at_a_time(large: Site, tmp_path: Path) -> None:
    """A third of the workers at most serves git: beyond that a client is told to come back, and finds a place later."""
    with ExitStack() as clients:
        for _ in range(2):
            clients.enter_context(stalled(large, wanting(large.head() or "")))
        refused = asked(large, "GET", f"{PATH}/info/refs?service=git-upload-pack")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        assert refused.headers["Content-Type"].startswith("text/plain") and b"busy: there are 2" in refused.data
        told = git(tmp_path, "ls-remote", address(large)).err
        assert "remote: busy: there are 2 fetches and pushes going on" in told
        assert large.get("bob", "/me").status == 200
    until(lambda: git(tmp_path, "ls-remote", address(large)).code == 0)


def test_many_clones_at_once_all_succeed(site: Site, tmp_path: Path) -> None:
    """As many clones as one actor may have at a time do not disturb each other."""
    started = [
        subprocess.Popen(["git", "clone", "-q", address(site), tmp_path / str(n)], stderr=subprocess.PIPE)
        for n in range(6)
    ]
    for each in started:
        _, told = each.communicate(timeout=PATIENCE)
        assert each.returncode == 0, told
    assert len({git(tmp_path / str(n), "rev-parse", "HEAD^{tree}").check() for n in range(6)}) == 1


def test_nothing_is_left_when_the_server_stops(tmp_path: Path, large: Site) -> None:
    """A client that neither reads nor leaves holds up the end for no longer than the limit, and no program stays."""
    repository = large.exchange.config.repository
    with served(large.exchange, limits=PATIENT) as url:
        ending = Site(large.exchange, url, large.keys)
        client = stalled(ending, wanting(large.head() or ""))
        sock = client.__enter__()
        until(lambda: at_work(repository))
    until(lambda: not at_work(repository))
    sock.close()


def test_an_answer_whose_program_fails_is_broken_off(large: Site) -> None:
    """When the program is killed in the middle, the connection breaks: what came does not look complete."""
    repository = large.exchange.config.repository
    with stalled(large, wanting(large.head() or "")) as sock:
        until(lambda: any("pack-objects" in line for line in at_work(repository)))
        for process in processes(repository):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        heard = b""
        with pytest.raises(ConnectionResetError):
            while part := sock.recv(1 << 16):
                heard = part
    assert not heard.endswith(b"0\r\n\r\n")
