"""`taskrepo.accounts` on real files: across threads, processes and restarts, with nothing secret at rest."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from filelock import FileLock

from taskrepo import accounts as module
from taskrepo import credentials, credentials_db
from taskrepo.accounts import DEFAULT_COST, Accounts, Cost
from taskrepo.credentials import SignIns
from taskrepo.errors import Invalid, Refused
from tests.support.waiting import PATIENCE

NOW = 1_700_000_000
DAY = 86400
CHEAP = Cost(n=2, r=8, p=1)
PASSWORD = "correct horse battery"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "private"


@pytest.fixture
def accounts(folder: Path) -> Iterator[Accounts]:
    with Accounts(folder, CHEAP) as opened:
        yield opened


def code_of(refused: "pytest.ExceptionInfo[Refused] | pytest.ExceptionInfo[Invalid]") -> str:
    return refused.value.code


def elsewhere(folder: Path, script: str) -> str:
    """Run a script in another process with `accounts` open; returns what it printed."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom taskrepo.accounts import Accounts, Cost\n"
        f"from taskrepo.errors import Refused\nNOW = {NOW}\n"
        "with Accounts(Path(sys.argv[1]), Cost(n=2, r=8, p=1)) as accounts:\n"
    ) + "".join(f"    {line}\n" for line in script.splitlines())
    words = [sys.executable, "-c", program, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def at_rest(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


# -- the folder and the file -------------------------------------------------------------------------------------------


def test_folder_and_files_are_private(folder: Path) -> None:
    """Whatever the umask, the folder has mode 0700 and every file in it 0600."""
    before = os.umask(0)
    try:
        with Accounts(folder, CHEAP) as accounts:
            accounts.add_key("alice", "laptop", NOW)
            modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert set(modes.values()) == {0o600}
    assert {"accounts.db", "accounts.db-wal"} <= modes.keys()


def test_loose_modes_are_tightened(folder: Path) -> None:
    """A folder or file that was opened to others is closed to them at the next start."""
    Accounts(folder, CHEAP).close()
    folder.chmod(0o755)
    (folder / "accounts.db").chmod(0o644)
    Accounts(folder, CHEAP).close()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "accounts.db").stat().st_mode & 0o777 == 0o600


def test_only_hashes_are_at_rest(folder: Path, accounts: Accounts) -> None:
    """Neither keys, links, session and anti-forgery tokens nor passwords can be found in any file."""
    info, key = accounts.add_key("alice", "laptop", NOW)
    token, csrf = accounts.open_session("alice", NOW)
    link = accounts.issue_link("alice", NOW)
    accounts.set_password("alice", PASSWORD, NOW)
    accounts.check_password("alice", "a wrong password", NOW)
    stored = at_rest(folder)
    accounts.close()
    for bytes_at_rest in (stored, at_rest(folder)):
        assert info.id.encode() in bytes_at_rest
        for secret in (key, key.rsplit("_", 1)[1], token, csrf, link, PASSWORD, "a wrong password"):
            assert secret.encode() not in bytes_at_rest


def test_everything_survives_a_restart(folder: Path) -> None:
    """Keys, passwords, links and sessions are there again after closing and opening."""
    with Accounts(folder, CHEAP) as accounts:
        info, key = accounts.add_key("alice", "laptop", NOW)
        token, csrf = accounts.open_session("alice", NOW)
        link = accounts.issue_link("alice", NOW)
        accounts.set_password("alice", PASSWORD, NOW)
    with Accounts(folder, CHEAP) as accounts:
        assert accounts.authenticate(key, NOW) == info
        session = accounts.session(token, NOW)
        assert session and (session.actor, session.csrf) == ("alice", csrf)
        assert accounts.redeem_link(link, NOW) == "alice"
        assert accounts.check_password("alice", PASSWORD, NOW)


def test_a_killed_process_loses_nothing_acknowledged(folder: Path) -> None:
    """What was answered is there after a kill without any closing."""
    with Accounts(folder, CHEAP):
        pass
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom taskrepo.accounts import Accounts\n"
        f"accounts = Accounts(Path(sys.argv[1]))\nprint(accounts.add_key('alice', 'laptop', {NOW})[1], flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    words = [sys.executable, "-c", program, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == -9
    with Accounts(folder, CHEAP) as accounts:
        assert accounts.authenticate(done.stdout.strip(), NOW)


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be one" * 100, b"x" * 512])
def test_a_file_that_is_no_database_is_refused(folder: Path, content: bytes) -> None:
    """Foreign bytes under the file's name are refused and stay as they are."""
    folder.mkdir(parents=True)
    (folder / "accounts.db").write_bytes(content)
    with pytest.raises(Invalid) as refused:
        Accounts(folder, CHEAP)
    assert code_of(refused) == "bad-accounts"
    assert (folder / "accounts.db").read_bytes() == content


@pytest.mark.parametrize("change", ["PRAGMA user_version = 2", "PRAGMA application_id = 7"])
def test_another_version_is_refused(folder: Path, change: str) -> None:
    """A file of a newer version, or of another program, is not touched."""
    Accounts(folder, CHEAP).close()
    db = sqlite3.connect(folder / "accounts.db")
    db.execute(change)
    db.close()
    with pytest.raises(Invalid, match="version"):
        Accounts(folder, CHEAP)


def test_many_processes_open_a_new_folder_at_once(folder: Path) -> None:
    """Whoever comes first makes the tables; all the others find them."""
    with ThreadPoolExecutor(4) as pool:
        script = "print(accounts.add_key('alice', 'laptop', NOW)[1])"
        printed = list(pool.map(lambda _: elsewhere(folder, script), range(4)))
    with Accounts(folder, CHEAP) as accounts:
        assert all(accounts.authenticate(secret, NOW) for secret in printed)


def test_a_full_disk_is_busy_not_broken(accounts: Accounts) -> None:
    """When the file cannot grow, what would be written is refused as busy, and what is there still authenticates."""
    _, secret = accounts.add_key("alice", "laptop", NOW)
    pages = accounts._writer.execute("PRAGMA page_count").fetchall()[0][0]
    accounts._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Refused) as refused:
        for number in range(500):
            accounts.issue_link(f"actor-{number}", NOW)
    assert code_of(refused) == "busy"
    assert accounts.authenticate(secret, NOW) is not None


def test_a_held_file_is_busy_not_broken(folder: Path, accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process writes, changes are refused as busy, reading and authenticating go on."""
    _, key = accounts.add_key("alice", "laptop", NOW)
    token, _ = accounts.open_session("alice", NOW)
    accounts._writer.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(folder / "accounts.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Refused) as refused:
        accounts.add_key("alice", "other", NOW)
    assert code_of(refused) == "busy"
    assert accounts.authenticate(key, NOW + 100)
    assert accounts.session(token, NOW + 1000)
    other.execute("ROLLBACK")
    other.close()
    assert accounts.keys("alice")[0].last_used_at == NOW + 100
    monkeypatch.setattr(credentials_db, "BUSY_SECONDS", 0.05)
    with FileLock(folder / "accounts.lock"), pytest.raises(Refused) as refused:
        Accounts(folder, CHEAP)
    assert code_of(refused) == "busy"


def test_a_refused_change_leaves_nothing_open(accounts: Accounts) -> None:
    """After a refusal or an error inside a change, the next change works and nothing of the first is there."""
    with pytest.raises(Refused):
        accounts.revoke_key("nosuchid", NOW)
    with pytest.raises(sqlite3.OperationalError), accounts._writing() as db:
        db.execute("DELETE FROM keys")
        db.execute("SELECT nonsense")
    with pytest.raises(RuntimeError), accounts._writing() as db:
        db.execute("ROLLBACK")
        raise RuntimeError
    assert accounts.add_key("alice", "laptop", NOW)


# -- API keys ----------------------------------------------------------------------------------------------------------


def test_a_key_authenticates_and_says_what_it_is(accounts: Accounts) -> None:
    """The secret names its public id, and only the whole secret works."""
    info, secret = accounts.add_key("alice", "laptop", NOW)
    assert (info.actor, info.name, info.created_at) == ("alice", "laptop", NOW)
    assert secret.startswith(f"tr_{info.id}_")
    assert len(secret) == 39
    assert accounts.authenticate(secret, NOW) == info
    other = accounts.add_key("bob", "x", NOW)[1]
    for wrong in ("", "x" * 5000, secret[:-1], secret + "0", secret.upper(), secret[:12] + other[12:],
                  secret.replace(info.id, "00000000"), secret + "\n", "tr_\ud800", f"Bearer {secret}"):
        assert accounts.authenticate(wrong, NOW) is None


def test_keys_are_listed_by_actor(accounts: Accounts) -> None:
    """One actor's keys, or everybody's, oldest first."""
    made = [accounts.add_key(actor, "k", NOW + at)[0] for at, actor in enumerate(("alice", "bob", "alice"))]
    assert accounts.keys("alice") == [made[0], made[2]]
    assert accounts.keys() == made
    assert accounts.keys("carol") == []


def test_a_revoked_key_ends_at_once_here(accounts: Accounts) -> None:
    """Revoking ends a key that was just used, is repeatable, keeps the first time, and knows its keys."""
    info, secret = accounts.add_key("alice", "laptop", NOW)
    assert accounts.authenticate(secret, NOW)
    accounts.revoke_key(info.id, NOW + 1)
    accounts.revoke_key(info.id, NOW + 9)
    assert accounts.authenticate(secret, NOW + 2) is None
    assert accounts.keys("alice")[0].revoked_at == NOW + 1
    with pytest.raises(Refused) as refused:
        accounts.revoke_key("nosuchid", NOW)
    assert code_of(refused) == "unknown-key"


def test_a_key_revoked_by_another_process_ends_at_once(folder: Path, accounts: Accounts) -> None:
    """A positive look-up in memory does not outlive a revocation made elsewhere."""
    info, secret = accounts.add_key("alice", "laptop", NOW)
    assert accounts.authenticate(secret, NOW)
    assert elsewhere(folder, f"print(accounts.authenticate({secret!r}, NOW).actor)") == "alice"
    elsewhere(folder, f"accounts.revoke_key({info.id!r}, NOW)")
    assert accounts.authenticate(secret, NOW) is None


def test_last_use_is_noted_without_writing_each_time(folder: Path, accounts: Accounts) -> None:
    """Uses within a minute stay in memory, where the listing sees them; closing writes the rest."""
    _, secret = accounts.add_key("alice", "laptop", NOW)
    def stored() -> str:
        return elsewhere(folder, "print(accounts.keys('alice')[0].last_used_at)")

    accounts.authenticate(secret, NOW)
    assert stored() == str(NOW)
    accounts.authenticate(secret, NOW + 59)
    assert stored() == str(NOW)
    assert accounts.keys("alice")[0].last_used_at == NOW + 59
    accounts.authenticate(secret, NOW + 60)
    assert stored() == str(NOW + 60)
    accounts.authenticate(secret, NOW + 70)
    accounts.close()
    assert stored() == str(NOW + 70)


def test_a_last_use_that_cannot_be_written_is_kept(accounts: Accounts) -> None:
    """While somebody else notes a use, this one waits in memory for the next minute."""
    _, secret = accounts.add_key("alice", "laptop", NOW)
    with accounts._touch_lock:
        assert accounts.authenticate(secret, NOW)
    assert accounts._used
    assert accounts.authenticate(secret, NOW + 61)
    assert not accounts._used


def test_keys_have_bounds(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Live keys, remembered revoked keys and cached keys are limited, each actor alone."""
    monkeypatch.setattr(module, "MAX_LIVE_KEYS", 3)
    monkeypatch.setattr(module, "MAX_REVOKED_KEYS", 2)
    monkeypatch.setattr(module, "_CACHED_KEYS", 2)
    made = [accounts.add_key("alice", str(at), NOW) for at in range(3)]
    with pytest.raises(Refused) as refused:
        accounts.add_key("alice", "more", NOW)
    assert code_of(refused) == "too-many-requests"
    accounts.add_key("bob", "own", NOW)
    assert all(accounts.authenticate(secret, NOW) for _, secret in made * 2)
    assert len(accounts._cache) <= 2
    for at, (info, _) in enumerate(made):
        accounts.revoke_key(info.id, NOW + at)
    assert [info.name for info in accounts.keys("alice")] == ["1", "2"]


def test_ids_of_keys_are_never_shared(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a random id is taken, another is drawn."""
    drawn = iter(["0" * 8, "0" * 27, "0" * 8, "1" * 27, "2" * 8, "3" * 27])
    monkeypatch.setattr(module, "draw", lambda count: next(drawn))
    assert accounts.add_key("alice", "a", NOW)[0].id == "0" * 8
    assert accounts.add_key("alice", "b", NOW)[0].id == "2" * 8


@pytest.mark.parametrize(("actor", "name"), [
    ("", "k"), ("Alice", "k"), ("a" * 40, "k"), ("a b", "k"), ("a\n", "k"), ("alice", ""), ("alice", "x" * 101),
    ("alice", "a\x1b[0m"), ("alice", "  "), ("alice", "a\nb"),
])
def test_malformed_actors_and_names_are_invalid(accounts: Accounts, actor: str, name: str) -> None:
    """Nothing is stored under a name that is no actor id, or with a name no list could show."""
    with pytest.raises(Invalid):
        accounts.add_key(actor, name, NOW)
    assert accounts.keys() == []


# -- passwords ---------------------------------------------------------------------------------------------------------


def test_a_password_is_checked(accounts: Accounts) -> None:
    """Only the actor's own password is good; replacing it ends the old one."""
    assert not accounts.has_password("alice")
    accounts.set_password("alice", PASSWORD, NOW)
    accounts.set_password("bob", "another password", NOW)
    assert accounts.has_password("alice")
    assert accounts.check_password("alice", PASSWORD, NOW)
    for actor, password in (("alice", "another password"), ("bob", PASSWORD), ("carol", PASSWORD), ("alice", ""),
                            ("alice", PASSWORD + " "), ("no actor", PASSWORD), ("alice", "x" * 5000)):
        assert not accounts.check_password(actor, password, NOW)
    accounts.set_password("alice", "a newer password", NOW)
    assert not accounts.check_password("alice", PASSWORD, NOW)
    assert accounts.check_password("alice", "a newer password", NOW)


def test_a_password_typed_in_another_normal_form_is_the_same(accounts: Accounts) -> None:
    """Composed and decomposed characters look the same and count the same."""
    accounts.set_password("alice", "caf\u00e9 au lait", NOW)
    assert accounts.check_password("alice", "cafe\u0301 au lait", NOW)


@pytest.mark.parametrize("password", ["", "ninechars", "x" * 1001, "x" * 10_000, "surrogate \ud800"])
def test_a_password_out_of_bounds_is_invalid(accounts: Accounts, password: str) -> None:
    """Ten to a thousand characters that can be written."""
    with pytest.raises(Invalid) as refused:
        accounts.set_password("alice", password, NOW)
    assert code_of(refused) == "bad-password"
    assert not accounts.has_password("alice")


def test_ten_failures_close_the_door_for_a_while(folder: Path, accounts: Accounts) -> None:
    """The eleventh try within 15 minutes is refused, even a right one and even in another process; others may go on."""
    accounts.set_password("alice", PASSWORD, NOW)
    for at in range(10):
        assert not accounts.check_password("alice", "a wrong password", NOW + at)
    with pytest.raises(Refused) as refused:
        accounts.check_password("alice", PASSWORD, NOW + 100)
    assert code_of(refused) == "too-many-requests"
    assert refused.value.details["retry_after"] == 800
    script = f"try: accounts.check_password('alice', {PASSWORD!r}, NOW + 100)\nexcept Refused as no: print(no.code)"
    assert elsewhere(folder, script) == "too-many-requests"
    assert not accounts.check_password("bob", PASSWORD, NOW + 100)
    assert accounts.check_password("alice", PASSWORD, NOW + 900)


def test_unknown_actors_are_throttled_alike(accounts: Accounts) -> None:
    """The limit does not tell whether an actor exists."""
    for _ in range(10):
        assert not accounts.check_password("nobody", PASSWORD, NOW)
    with pytest.raises(Refused):
        accounts.check_password("nobody", PASSWORD, NOW)


def test_success_and_a_new_password_clear_the_failures(accounts: Accounts) -> None:
    """A person who got in, or was given a new password, starts from zero."""
    accounts.set_password("alice", PASSWORD, NOW)
    for _ in range(3):
        for _ in range(9):
            assert not accounts.check_password("alice", "a wrong password", NOW)
        assert accounts.check_password("alice", PASSWORD, NOW)
    for _ in range(10):
        accounts.check_password("alice", "a wrong password", NOW)
    accounts.set_password("alice", PASSWORD, NOW)
    assert accounts.check_password("alice", PASSWORD, NOW)


def test_guesses_made_at_once_cannot_outrun_the_limit(accounts: Accounts) -> None:
    """Of thirty guesses at the same time exactly ten are worked on."""
    def guess(_: int) -> str:
        try:
            return str(accounts.check_password("alice", "a wrong password", NOW))
        except Refused as no:
            return no.code

    accounts.set_password("alice", PASSWORD, NOW)
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(guess, range(30)))
    assert verdicts.count("False") == 10
    assert verdicts.count("too-many-requests") == 20


def test_failures_are_remembered_within_bounds(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guessing at many names fills a fixed number of rows."""
    monkeypatch.setattr(module, "_MAX_FAILURES", 5)
    for at in range(20):
        accounts.check_password(f"actor-{at}", PASSWORD, NOW)
    assert accounts._reader.execute("SELECT count(*) FROM failures").fetchone()[0] == 5


def test_unknown_actors_cost_the_same_work(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """One scrypt of the same cost is done whether the actor exists or not."""
    spent: list[Cost] = []
    real = Cost.hash

    def counted(cost: Cost, password: bytes, salt: bytes) -> bytes:
        spent.append(cost)
        return real(cost, password, salt)

    accounts.set_password("alice", PASSWORD, NOW)
    monkeypatch.setattr(Cost, "hash", counted)
    accounts.check_password("alice", "a wrong password", NOW)
    accounts.check_password("nobody", "a wrong password", NOW)
    assert spent == [CHEAP, CHEAP]


def test_a_dearer_cost_is_taken_up_at_the_next_sign_in(folder: Path) -> None:
    """The cost is stored beside the hash: old passwords stay good and are hashed anew."""
    with Accounts(folder, CHEAP) as accounts:
        accounts.set_password("alice", PASSWORD, NOW)
    with Accounts(folder) as accounts:
        assert accounts.check_password("alice", PASSWORD, NOW)
        found = accounts._reader.execute("SELECT n, r, p FROM passwords").fetchone()
        assert Cost(*found) == DEFAULT_COST
        assert accounts.check_password("alice", PASSWORD, NOW)


def test_too_many_sign_ins_at_once_are_busy(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory scrypt may use is bounded; whoever waits too long is told so."""
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
    with accounts._scrypt, accounts._scrypt, pytest.raises(Refused) as refused:
        accounts.check_password("alice", PASSWORD, NOW)
    assert code_of(refused) == "busy"
    assert not accounts.check_password("alice", PASSWORD, NOW)


# -- sign-in links -----------------------------------------------------------------------------------------------------


def test_a_link_works_once(accounts: Accounts) -> None:
    """The first to redeem a link is the actor; the second is told it is gone."""
    link = accounts.issue_link("alice", NOW)
    assert [accounts.link_actor(link, NOW + 899) for _ in range(2)] == ["alice", "alice"]
    assert accounts.redeem_link(link, NOW + 899) == "alice"
    for ask in (accounts.redeem_link, accounts.link_actor):
        with pytest.raises(Refused) as refused:
            ask(link, NOW + 899)
        assert code_of(refused) == "link-expired"


def test_a_link_expires(accounts: Accounts) -> None:
    """At the end of its time a link is gone, as are those that never were, and sessions are no links."""
    for token in (accounts.issue_link("alice", NOW), "x", "\ud800", accounts.open_session("alice", NOW)[0]):
        for ask in (accounts.link_actor, accounts.redeem_link):
            with pytest.raises(Refused) as refused:
                ask(token, NOW + 900)
            assert code_of(refused) == "link-expired"
    with pytest.raises(Invalid):
        accounts.issue_link("alice", NOW, ttl=0)
    with pytest.raises(Invalid):
        accounts.issue_link("alice", NOW, ttl=10**9)


def test_threads_and_processes_race_for_a_link(folder: Path, accounts: Accounts) -> None:
    """However many redeem a link at once, in two processes, exactly one gets in."""
    links = [accounts.issue_link("alice", NOW + at) for at in range(10)]
    script = (
        f"won = 0\nfor link in {links!r}:\n    try: won += accounts.redeem_link(link, NOW + 10) == 'alice'\n"
        "    except Refused: pass\nprint(won)"
    )

    def redeem(_: int) -> int:
        won = 0
        for link in links:
            with suppress(Refused):
                won += accounts.redeem_link(link, NOW + 10) == "alice"
        return won

    with ThreadPoolExecutor(5) as pool:
        other = pool.submit(elsewhere, folder, script)
        here = list(pool.map(redeem, range(3)))
    assert sum(here) + int(other.result()) == 10


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_a_session_is_found_by_its_token_only(accounts: Accounts) -> None:
    """The token finds the session; anything else, a link's token included, finds none."""
    token, csrf = accounts.open_session("alice", NOW)
    session = accounts.session(token, NOW + 1)
    assert session and session.actor == "alice"
    assert (session.csrf, session.created_at, session.expires_at) == (csrf, NOW, NOW + 14 * DAY)
    assert csrf != accounts.open_session("alice", NOW)[1]
    for wrong in ("", token[:-1], csrf, "\ud800", accounts.issue_link("alice", NOW)):
        assert accounts.session(wrong, NOW) is None


def test_a_session_slides_while_used_and_ends_anyway(folder: Path, accounts: Accounts) -> None:
    """Three idle days end a session, use keeps it alive, and fourteen days end it in any case."""
    idle, _ = accounts.open_session("alice", NOW)
    used, _ = accounts.open_session("alice", NOW)
    for day in range(2, 14, 2):
        assert accounts.session(used, NOW + day * DAY)
    assert accounts.session(idle, NOW + 3 * DAY - 1)
    assert accounts.session(used, NOW + 14 * DAY - 1)
    assert accounts.session(used, NOW + 14 * DAY) is None
    assert accounts.session(idle, NOW + 6 * DAY) is None


def test_using_a_session_is_written_every_five_minutes_at_most(accounts: Accounts) -> None:
    """Within five minutes the file does not change."""
    token, _ = accounts.open_session("alice", NOW)

    def seen() -> int:
        return int(accounts._reader.execute("SELECT seen_at FROM tokens").fetchone()[0])

    accounts.session(token, NOW + 299)
    assert seen() == NOW
    accounts.session(token, NOW + 300)
    assert seen() == NOW + 300


def test_sessions_are_closed_one_or_all(folder: Path, accounts: Accounts) -> None:
    """Signing out ends one session, closing all ends the actor's and nobody else's, in every process at once."""
    first, second = (accounts.open_session("alice", NOW)[0] for _ in range(2))
    bobs, _ = accounts.open_session("bob", NOW)
    accounts.close_session(first)
    accounts.close_session("unknown")
    assert accounts.session(first, NOW) is None
    assert accounts.session(second, NOW)
    elsewhere(folder, "accounts.close_sessions('alice')")
    assert accounts.session(second, NOW) is None
    assert accounts.session(bobs, NOW)
    accounts.close_sessions("bob")
    assert accounts.session(bobs, NOW) is None


def test_a_new_session_ends_the_oldest(accounts: Accounts) -> None:
    """An actor has fifty sessions at most."""
    tokens = [accounts.open_session("alice", NOW + at)[0] for at in range(52)]
    alive = [accounts.session(token, NOW + 60) is not None for token in tokens]
    assert alive == [False] * 2 + [True] * 50


# -- housekeeping ------------------------------------------------------------------------------------------------------


def test_a_disabled_actor_has_no_way_in(accounts: Accounts) -> None:
    """Keys, sessions, links and password end together; other actors keep theirs."""
    info, key = accounts.add_key("alice", "laptop", NOW)
    _, bobs = accounts.add_key("bob", "laptop", NOW)
    token, _ = accounts.open_session("alice", NOW)
    link = accounts.issue_link("alice", NOW)
    accounts.set_password("alice", PASSWORD, NOW)
    assert accounts.authenticate(key, NOW)
    accounts.disable("alice", NOW + 1)
    assert accounts.authenticate(key, NOW + 1) is None
    assert accounts.session(token, NOW + 1) is None
    assert not accounts.has_password("alice")
    assert accounts.keys("alice")[0].revoked_at == NOW + 1
    assert accounts.keys("alice")[0].id == info.id
    with pytest.raises(Refused):
        accounts.redeem_link(link, NOW + 1)
    assert accounts.authenticate(bobs, NOW + 1)


def test_sweeping_deletes_what_has_expired(accounts: Accounts) -> None:
    """Only dead sessions, links, failures and long revoked keys go, and last uses are written."""
    info, _ = accounts.add_key("alice", "old", NOW)
    _, live = accounts.add_key("alice", "live", NOW)
    accounts.revoke_key(info.id, NOW)
    accounts.issue_link("alice", NOW)
    accounts.open_session("alice", NOW)
    accounts.check_password("alice", PASSWORD, NOW)
    assert accounts.sweep(NOW + 1) == 0
    accounts.authenticate(live, NOW + 2)
    assert accounts.sweep(NOW + 90 * DAY) == 4
    assert [found.name for found in accounts.keys("alice")] == ["live"]
    assert not accounts._used


def test_threads_share_one_accounts(accounts: Accounts) -> None:
    """Threads adding, using and revoking keys do not disturb each other."""
    failures: list[BaseException] = []

    def live(actor: str) -> None:
        try:
            for at in range(15):
                info, secret = accounts.add_key(actor, "k", NOW)
                assert accounts.authenticate(secret, NOW + at * 61)
                accounts.revoke_key(info.id, NOW)
                assert accounts.authenticate(secret, NOW) is None
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=live, args=(f"actor-{at}",)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_closing_twice_is_harmless_and_final(folder: Path) -> None:
    """After closing nothing more is answered."""
    accounts = Accounts(folder, CHEAP)
    _, secret = accounts.add_key("alice", "laptop", NOW)
    accounts.close()
    accounts.close()
    with pytest.raises(sqlite3.ProgrammingError):
        accounts.authenticate(secret, NOW)


# -- sessions listed ---------------------------------------------------------------------------------------------------


def test_sessions_are_listed_without_their_tokens(accounts: Accounts, folder: Path) -> None:
    """An actor's live sessions are told, the last used first, by an id that is neither the token nor what is stored."""
    first, _ = accounts.open_session("alice", NOW, browser="Firefox on Linux")
    second, _ = accounts.open_session("alice", NOW + 10)
    accounts.open_session("bob", NOW, browser="Chrome on Windows")
    assert accounts.session(first, NOW + 1000)
    told = accounts.sessions("alice", NOW + 1000)
    assert [(s.browser, s.created_at, s.seen_at) for s in told] == [
        ("Firefox on Linux", NOW, NOW + 1000), ("", NOW + 10, NOW + 10)]  # fmt: skip
    assert told[0].id == credentials.session_id(credentials.digest(first)) != told[1].id
    for kept in (first, second, credentials.digest(first).hex()):
        assert told[0].id not in kept and kept not in repr(told)
    assert accounts.sessions("alice", NOW + 10 * DAY) == []
    assert b"Firefox" in at_rest(folder)


def test_a_session_is_ended_by_its_id(accounts: Accounts) -> None:
    """One's own session ends by its id; the id of another actor's, or of none, is refused and ends nothing."""
    token, _ = accounts.open_session("alice", NOW)
    other, _ = accounts.open_session("bob", NOW)
    (theirs,) = accounts.sessions("bob", NOW)
    for ident in (theirs.id, "", "0" * 20, credentials.digest(token).hex()):
        with pytest.raises(Refused) as refused:
            accounts.end_session("alice", ident)
        assert code_of(refused) == "unknown-session"
    accounts.end_session("alice", accounts.sessions("alice", NOW)[0].id)
    assert accounts.session(token, NOW) is None and accounts.session(other, NOW)


def test_all_other_sessions_end(accounts: Accounts) -> None:
    """Ending all others leaves the one that is named, and everybody else's."""
    kept, *others = (accounts.open_session("alice", NOW)[0] for _ in range(3))
    bob, _ = accounts.open_session("bob", NOW)
    accounts.close_sessions("alice", but=kept)
    assert accounts.session(kept, NOW) and accounts.session(bob, NOW)
    assert [accounts.session(token, NOW) for token in others] == [None, None]


def test_what_a_browser_is_called_is_bounded(accounts: Accounts) -> None:
    """A long name is cut, and what cannot be printed is left out."""
    accounts.open_session("alice", NOW, browser="a\x00b\n" + "c" * 200)
    assert accounts.sessions("alice", NOW)[0].browser == "ab" + "c" * 58


def test_marks_end_with_their_sessions(accounts: Accounts, folder: Path) -> None:
    """However a session ends, nothing stays of its browser: not when it is one too many, swept, or disabled."""

    def marks() -> int:
        with sqlite3.connect(folder / "accounts.db") as db:
            (count,) = db.execute("SELECT count(*) FROM session_marks").fetchone()
        return int(count)

    tokens = [accounts.open_session("alice", NOW + at, browser="x")[0] for at in range(60)]
    assert marks() == module.MAX_TOKENS["session"] == 50
    accounts.close_session(tokens[-1])
    assert marks() == 49
    accounts.sweep(NOW + 30 * DAY)
    assert marks() == 0
    accounts.open_session("alice", NOW, browser="x")
    accounts.disable("alice", NOW)
    assert marks() == 0


def test_a_file_from_before_the_marks_is_taken_on(accounts: Accounts, folder: Path) -> None:
    """A file of the same version without the later table works: its sessions stay, and new ones are marked."""
    old, _ = accounts.open_session("alice", NOW, browser="Firefox on Linux")
    accounts.close()
    with sqlite3.connect(folder / "accounts.db") as db:
        db.executescript("DROP TRIGGER session_marks_end; DROP TABLE session_marks;")
    for _ in range(2):
        with Accounts(folder, CHEAP) as again:
            assert again.session(old, NOW)
            again.open_session("alice", NOW + 1, browser="Safari on iPhone")
            assert {s.browser for s in again.sessions("alice", NOW)} == {"", "Safari on iPhone"}


def test_everybodys_keys_come_in_pages(accounts: Accounts) -> None:
    """Keys in use come by actor and id, going on after the last one; revoked ones do not."""
    made = [accounts.add_key(actor, f"{actor} {at}", NOW)[0] for actor in ("bob", "alice", "carol") for at in range(3)]
    accounts.revoke_key(made[0].id, NOW)
    first = accounts.live_keys(5)
    rest = accounts.live_keys(5, (first[-1].actor, first[-1].id))
    got = [(info.actor, info.id) for info in (*first, *rest)]
    assert got == sorted((info.actor, info.id) for info in made[1:])
    assert {info.id for info in accounts.live_keys(9, actor="bob")} == {made[1].id, made[2].id}


def test_the_last_use_of_a_key_is_told_at_once(accounts: Accounts) -> None:
    """A use that is only in memory yet counts in the list of everybody's keys."""
    _, secret = accounts.add_key("alice", "laptop", NOW)
    accounts.authenticate(secret, NOW + 1)
    accounts.authenticate(secret, NOW + 5)
    assert accounts.live_keys(5)[0].last_used_at == NOW + 5


def test_who_signs_in_and_how(accounts: Accounts) -> None:
    """Everybody with a password or a live session is told once, by id, in pages or alone."""
    accounts.set_password("bob", PASSWORD, NOW)
    for at in (0, 7):
        accounts.open_session("alice", NOW + at)
    accounts.open_session("carol", NOW - 20 * DAY)
    accounts.issue_link("dave", NOW)
    told = accounts.sign_ins(9, NOW + 10)
    assert told == [SignIns("alice", None, 2, NOW + 7), SignIns("bob", NOW, 0, None)]
    assert accounts.sign_ins(1, NOW) == [SignIns("alice", None, 2, NOW + 7)]
    assert accounts.sign_ins(9, NOW, after="alice") == accounts.sign_ins(9, NOW, actor="bob") == [told[1]]


@pytest.mark.parametrize(("later", "said"), [(0, "15 minutes"), (14 * 60 + 1, "a minute")])
def test_who_is_throttled_hears_how_long(accounts: Accounts, later: int, said: str) -> None:
    """The refusal says in words how long to wait, rounded up."""
    for _ in range(10):
        assert not accounts.check_password("alice", PASSWORD, NOW)
    with pytest.raises(Refused) as refused:
        accounts.check_password("alice", PASSWORD, NOW + later)
    assert f"wait {said}, then" in refused.value.message
