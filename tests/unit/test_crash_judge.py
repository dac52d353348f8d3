"""Whether an answer was given only once all it rests on was safe: each way to be too early is found."""

from tests.support.cases import each
from tests.support.traces import disk_of, traced, violations
from tools.crash_calls import calls
from tools.crash_judge import Answer, answers, beside, door_of, judged, promised
from tools.crash_kinds import is_temporary, kind, promise

BASE = {
    "exchange.git": None, "exchange.git/refs": None, "exchange.git/refs/heads": None,
    "exchange.git/refs/heads/main": b"0", "exchange.git/objects": None, "exchange.git/objects/info": None,
    "exchange.git/objects/info/commit-graphs": None, "exchange.git/objects/pack": None,
    "private": None, "private/accounts.db-wal": b"", "index": None,
}  # fmt: skip
CLAIM = r"POST /api/v1/tasks/4k7q2m9x/claim HTTP/1.1\r\nHost: x\r\n"
REQUEST = f"5 recvfrom(9<socket:[7]>, '{CLAIM}', 999, 0, NULL, NULL) = 64"
MAKE = "2 openat(AT_FDCWD</d>, 'exchange.git/new', O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3</d/exchange.git/new>"
WRITE = "2 write(3</d/exchange.git/new>, '1', 1) = 1"
SYNC = "2 fsync(3</d/exchange.git/new>) = 0"
MOVE = "2 rename('/d/exchange.git/new', '/d/exchange.git/refs/heads/main') = 0"
FOLDER = "2 fsync(4</d/exchange.git/refs/heads>) = 0"
ANSWER = r"5 sendto(9<socket:[7]>, 'HTTP/1.1 200 OK\r\n', 17, 0, NULL, 0) = 17"


def too_early(*lines: str) -> list[tuple[str, str, str]]:
    """What of the lines was answered too early: the door, the path, and why."""
    return [(each.answer.door, each.path, each.what) for each in violations(*lines, base=BASE)]


def test_a_whole_chain_is_sound() -> None:
    """Content synced, moved to its name, folder synced, then answered: nothing to say."""
    assert too_early(REQUEST, MAKE, WRITE, SYNC, MOVE, FOLDER, ANSWER) == []


def test_each_way_to_be_too_early_is_found() -> None:
    """A sync that is missing, came after the answer or before the write, or failed, is named with its file."""
    door, name = "POST /api/v1/tasks/…/claim", "exchange.git/refs/heads/main"
    content = (door, "exchange.git/new", "its content was not synced")
    folder = (door, name, "a name in its folder was not synced")
    half = ("2 fsync(4</d/exchange.git/refs/heads> <unfinished ...>", ANSWER, "2 <... fsync resumed>) = 0")
    each(
        (
            ((REQUEST, MAKE, WRITE, MOVE, FOLDER, ANSWER), [content]),
            ((REQUEST, MAKE, SYNC, WRITE, MOVE, FOLDER, ANSWER), [content]),
            ((REQUEST, MAKE, WRITE, MOVE, FOLDER, ANSWER, SYNC), [content]),
            ((REQUEST, MAKE, WRITE, SYNC, MOVE, ANSWER), [folder]),
            ((REQUEST, MAKE, WRITE, SYNC, FOLDER, MOVE, ANSWER), [folder]),
            ((REQUEST, MAKE, WRITE, SYNC, MOVE, ANSWER, FOLDER), [folder]),
            ((REQUEST, MAKE, WRITE, SYNC, MOVE, *half), [folder]),
            ((REQUEST, MAKE, WRITE, SYNC, MOVE, FOLDER.replace("= 0", "= -1 EIO (x)"), ANSWER), [folder]),
            ((REQUEST, MAKE, WRITE, MOVE, ANSWER), [content, folder]),
        ),
        lambda case: assert_same(too_early(*case[0]), case[1]),
    )


def assert_same(found: object, wanted: object) -> None:
    """They are equal."""
    assert found == wanted


def test_a_later_part_of_an_answer_counts_too() -> None:
    """A server may begin to answer before it knows: what is sent then is an answer as well, but no second one."""
    lines = (REQUEST, ANSWER, MAKE, WRITE, SYNC, MOVE, ANSWER)
    assert [what for _, _, what in too_early(*lines)] == ["a name in its folder was not synced"]
    assert [answer.first for answer in answers(calls(traced(*lines)), "/answers")] == [True, False]


def test_a_push_is_answered_by_its_verdict() -> None:
    """A sign of life that git sends while it works is no answer; the words of the exchange are, in one part or many."""
    request = REQUEST.replace("/api/v1/tasks/4k7q2m9x/claim", "/git/exchange.git/git-receive-pack")
    alive = r"5 sendto(9<socket:[7]>, 'HTTP/1.1 200 OK\r\n\r\n5\r\n0005\x01\r\n', 99, 0, NULL, 0) = 31"
    verdict = r"5 sendmsg(9<socket:[7]>, {msg_iov=[{iov_base='\x02taskrepo: claim', iov_len=16}]}, 0) = 16"
    assert too_early(request, MAKE, alive, WRITE, SYNC, alive, MOVE, FOLDER, verdict) == []
    assert len(too_early(request, MAKE, WRITE, SYNC, MOVE, verdict, FOLDER)) == 1


def test_new_folders_count() -> None:
    """A file in a folder whose own name is not safe is not safe."""
    made = "2 mkdir('/d/exchange.git/refs/new', 0777) = 0"
    assert [path for _, path, _ in too_early(REQUEST, made, ANSWER)] == ["exchange.git/refs/new"]


def test_what_no_promise_rests_on_may_wait() -> None:
    """Locks, marks, the listing index and names that only go are nobody's answer."""
    made = "2 openat(AT_FDCWD</d>, '{0}', O_WRONLY|O_CREAT, 0666) = 3</d/{0}>"
    each(
        (
            made.format("exchange.git/refs/heads/main.lock"),
            made.format("index/x"),
            made.format("private/accounts.lock"),
            made.format("exchange.git/taskrepo-mark-rollup"),
            made.format("exchange.git/objects/info/commit-graphs/commit-graph-chain"),
            made.format("exchange.git/objects/pack/multi-pack-index-0a.bitmap"),
            "2 unlink('/d/exchange.git/refs/heads/main') = 0",
        ),
        lambda line: assert_same(too_early(REQUEST, line, ANSWER), []),
    )


def test_credentials_count_where_the_door_is_theirs() -> None:
    """What was last used when may be lost; a key that was made may not."""
    used = ("5 openat(AT_FDCWD</d>, 'private/accounts.db-wal', O_RDWR) = 3</d/private/accounts.db-wal>",
            "5 pwrite64(3</d/private/accounts.db-wal>, 'x', 1, 0) = 1")  # fmt: skip
    made = REQUEST.replace("/tasks/4k7q2m9x/claim", "/actors")
    assert too_early(REQUEST, *used, ANSWER) == []
    assert [path for _, path, _ in too_early(made, *used, ANSWER)] == ["private/accounts.db-wal"]
    assert "webhooks" in promised("POST /api/v1/webhooks") and "webhooks" not in promised("GET /api/v1/webhooks")


def test_what_is_done_beside_is_nobodys_answer() -> None:
    """A thread that writes the index and merges packs holds up no answer; one that moves main is never taken for it."""
    index = "2 openat(AT_FDCWD</d>, 'index/x', O_WRONLY|O_CREAT, 0666) = 3</d/index/x>"
    pack = "2 openat(AT_FDCWD</d>, 'exchange.git/p', O_WRONLY|O_CREAT, 0666) = 3</d/exchange.git/p>"
    assert too_early(REQUEST, index, pack, ANSWER) == []
    assert too_early(REQUEST, index, pack, MOVE.replace("git/new", "git/p"), ANSWER) != []
    assert beside(disk_of(index, base=BASE), (2,)) == frozenset()
    rollup = "2 mkdir('/d/exchange.git/objects/tmp_rollup-x', 0777) = 0"
    assert too_early(REQUEST, rollup, pack, ANSWER) == []
    assert too_early(REQUEST, rollup, pack, MOVE.replace("git/new", "git/p"), ANSWER) != []


def test_who_removes_packs_merges_them() -> None:
    """What that thread writes is nobody's answer either, but for one that moves main."""
    gone = "2 unlink('/d/exchange.git/objects/pack/pack-1.pack') = 0"
    written = "2 openat(AT_FDCWD</d>, 'exchange.git/p', O_WRONLY|O_CREAT, 0666) = 3</d/exchange.git/p>"
    base = {**BASE, "exchange.git/objects/pack/pack-1.pack": b"PACK"}
    assert violations(REQUEST, gone, written, ANSWER, base=base) == []
    assert violations(REQUEST, written, ANSWER, base=base) != []
    assert violations(REQUEST, gone, written, MOVE.replace("git/new", "git/p"), ANSWER, base=base) != []


def test_a_spare_file_counts_by_what_is_written_into_it() -> None:
    """That it is there is nobody's promise; its content is one, and so is the name that it gets."""
    made = MAKE.replace("git/new", "git/taskrepo-spares/a-0")
    write, sync, move = (line.replace("git/new", "git/taskrepo-spares/a-0") for line in (WRITE, SYNC, MOVE))
    base = {**BASE, "exchange.git/taskrepo-spares": None}
    for lines, faults in (
        ((made,), 0), ((made, write, sync, move, FOLDER), 0), ((made, write, move, FOLDER), 1),
        ((made, write, sync, move), 1), ((made, write), 1),
    ):  # fmt: skip
        assert len(violations(REQUEST, *lines, ANSWER, base=base)) == faults, lines


def test_what_was_seen_of_a_door_is_told() -> None:
    """How often it answered, and how many syncs of what its answers waited for."""
    lines = (REQUEST, MAKE, WRITE, SYNC, MOVE, FOLDER, ANSWER)
    found, doors = judged(disk_of(*lines, base=BASE), answers(calls(traced(*lines)), "/answers"), ())
    (door,) = doors.values()
    assert (found, door.answers, door.promises, sum(door.waited.values())) == ([], 1, {"ledger"}, 2)


def test_doors_are_named_by_what_was_asked() -> None:
    """A request by its method and path without ids, a line of the file of answers by its first member."""
    assert door_of(b"PUT /api/v1/uploads/abc?x=1 HTTP/1.1\r\n") == "PUT /api/v1/uploads/…"
    assert door_of(b"\x16\x03\x01") == ""
    said = r"3 write(8</answers>, '{\"commit\": 1}\n', 14) = 14"
    given = [*answers(calls(traced(said, said.replace("{", ""))), "/answers"),
             *answers(calls(traced(said)), "/answers", "CLI")]  # fmt: skip
    assert given == [Answer(1, 1.0, "commit"), Answer(2, 2.0, "?"), Answer(1, 1.0, "CLI")]


def test_files_are_known_by_their_paths() -> None:
    """Of every kind of file it is told what it is, what rests on it, and whether it is under way."""
    large, half = "lfs/ab/cd/ef", "private/vault/keys/a/b/tmp_x.7"
    assert (kind(large), promise(large), is_temporary(large)) == ("large file", "large", False)
    assert (kind(half), promise(half), is_temporary(half)) == ("vault", "vault", True)
    assert (kind("index/writer.lock"), promise("index/writer.lock")) == ("lock", "")
    assert (kind("exchange.git/objects/info"), promise("exchange.git/objects/info")) == ("help for git", "")
    assert (kind("exchange.git/objects/pack"), promise("exchange.git/objects/pack")) == ("pack folder", "ledger")
    assert (kind("socket:[7]"), kind("elsewhere")) == ("answer", "data folder")
