"""A folder as calls change it, and what a power cut may leave of it."""

import pytest

from tests.support.cases import each
from tests.support.traces import disk_of
from tools.crash_calls import BadTrace
from tools.crash_disk import Change, Disk, State

END = 1 << 30
NEW = ("1 openat(AT_FDCWD</d>, 'f', O_WRONLY|O_CREAT|O_EXCL, 0600) = 3</d/f>", "1 write(3</d/f>, 'hello', 5) = 5")
SYNC = "1 fsync(3</d/f>) = 0"
FOLDER = "1 fsync(4</d>) = 0"


def everything(disk: Disk) -> State:
    """What running programs see."""
    return disk.state(END, lambda change: True)


def safe(disk: Disk, line: int = END) -> State:
    """What every cut leaves."""
    return disk.state(line, lambda change: False)


# ── what calls do ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_calls_make_what_they_make() -> None:
    """Whatever may be done to files and folders is followed to the byte."""

    def follows(case: tuple[tuple[str, ...], State]) -> None:
        lines, wanted = case
        assert everything(disk_of(*lines, base={"old": b"12345", "sub": None, "sub/x": b"x"})) == wanted

    rest: State = {"old": b"12345", "sub": None, "sub/x": b"x"}
    opened = "1 openat(AT_FDCWD</d>, 'old', O_RDWR) = 3</d/old>"
    each(
        (
            (NEW, rest | {"f": b"hello"}),
            ((*NEW, "1 write(3</d/f>, '!!', 2) = 1"), rest | {"f": b"hello!"}),
            ((opened, "1 write(3</d/old>, 'ab', 2) = 2"), rest | {"old": b"ab345"}),
            ((opened, "1 lseek(3</d/old>, 4, SEEK_SET) = 4", "1 write(3</d/old>, 'ab', 2) = 2"),
             rest | {"old": b"1234ab"}),
            ((opened, "1 pwrite64(3</d/old>, 'ab', 2, 7) = 2"), rest | {"old": b"12345\0\0ab"}),
            ((opened, "1 pwritev(3</d/old>, [{iov_base='a', iov_len=1}], 1, 0) = 1"), rest | {"old": b"a2345"}),
            ((opened, "1 ftruncate(3</d/old>, 2) = 0"), rest | {"old": b"12"}),
            ((opened, "1 fallocate(3</d/old>, 0, 4, 3) = 0"), rest | {"old": b"12345\0\0"}),
            ((opened, "1 fallocate(3</d/old>, FALLOC_FL_KEEP_SIZE, 4, 3) = 0"), rest),
            (("1 truncate('/d/old', 7) = 0",), rest | {"old": b"12345\0\0"}),
            (("1 openat(AT_FDCWD</d>, 'old', O_WRONLY|O_TRUNC) = 3</d/old>",), rest | {"old": b""}),
            (("1 creat('/d/old', 0600) = 3</d/old>",), rest | {"old": b""}),
            (
                ("1 openat(AT_FDCWD</d>, 'old', O_WRONLY|O_APPEND) = 3</d/old>", "1 write(3</d/old>, '6', 1) = 1"),
                rest | {"old": b"123456"},
            ),
            (("1 mkdir('/d/new', 0777) = 0", "1 mkdirat(AT_FDCWD</d>, 'new/er', 0777) = 0"),
             rest | {"new": None, "new/er": None}),
            (("1 rename('/d/old', '/d/sub/x') = 0",), {"sub": None, "sub/x": b"12345"}),
            (("1 renameat2(AT_FDCWD</d>, 'sub', 5</d>, 'bus', RENAME_NOREPLACE) = 0",),
             {"old": b"12345", "bus": None, "bus/x": b"x"}),
            (("1 link('/d/old', '/d/twin') = 0", opened, "1 write(3</d/old>, 'ab', 2) = 2"),
             rest | {"old": b"ab345", "twin": b"ab345"}),
            (("1 link('/d/old', '/d/twin') = 0", "1 rename('/d/old', '/d/twin') = 0"), rest | {"twin": b"12345"}),
            (("1 linkat(AT_FDCWD</d>, 'old', AT_FDCWD</d>, 'twin', 0) = 0", "1 unlink('/d/old') = 0"),
             {"sub": None, "sub/x": b"x", "twin": b"12345"}),
            (("1 unlinkat(6</d/sub>, 'x', 0) = 0", "1 rmdir('/d/sub') = 0"), {"old": b"12345"}),
            (("1 unlink('/d/nothing') = -1 ENOENT (No such file)", "1 mkdir('/elsewhere', 0777) = 0"), rest),
            (("1 rename('/a', '/b') = 0", "1 fsync(9</a>) = 0", "1 truncate('/a', 3) = 0",
             "1 write(9</a>, 'x', 1) = 1"),
             rest),
            ((opened, "1 unlink('/d/old') = 0", "1 write(3</d/old>(deleted), 'ab', 2) = 2"),
             {"sub": None, "sub/x": b"x"}),
            (("1 openat(AT_FDCWD</d>, 'a.db-shm', O_RDWR|O_CREAT, 0600) = 3</d/a.db-shm>",
             "1 ftruncate(3</d/a.db-shm>, 9) = 0"),
             rest),
        ),
        follows,
    )  # fmt: skip


def test_folders_are_processes_own() -> None:
    """A path that is not whole is below the folder the process is in, which its children begin with."""
    disk = disk_of(
        "1 chdir('/d') = 0", "1 mkdir('a', 0777) = 0", "2 chdir('a') = 0", "1 vfork() = 2", "2 mkdir('b', 0777) = 0",
        "1 mkdir('c', 0777) = 0", "1 fchdir(5</d/a>) = 0", "1 mkdir('d', 0777) = 0",
    )  # fmt: skip
    assert set(everything(disk)) == {"a", "a/b", "a/d", "c"}


def test_threads_share_descriptors_and_children_copy_them() -> None:
    """A thread goes on in a file where another stood; a child's own descriptors are not its parent's."""
    disk = disk_of(
        *NEW,
        "1 clone(child_stack=0x1, flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD) = 2",
        "2 write(3</d/f>, '!', 1) = 1",
        "1 fork() = 3",
        "3 dup2(3</d/f>, 1) = 1</d/f>",
        "3 write(1</d/f>, '?', 1) = 1",
        "3 fcntl(1</d/f>, F_DUPFD_CLOEXEC, 7) = 7</d/f>",
        "3 fcntl(1</d/f>, F_GETFD) = 0",
        "3 write(7</d/f>, '.', 1) = 1",
    )
    assert everything(disk)["f"] == b"hello!?."


def test_what_cannot_be_followed_is_refused() -> None:
    """Content that is not in the trace, or a file whose beginnings were not seen, makes no state at all."""

    def refused(line: str) -> None:
        with pytest.raises(BadTrace):
            disk_of(line)

    each(
        (
            "1 sendfile(3</d/f>, 4</x>, NULL, 9) = 9",
            "1 copy_file_range(3</x>, NULL, 4</d/f>, NULL, 9, 0) = 9",
            "1 write(3</d/f>, 'x', 1) = 1",
            "1 rename('/x', '/d/x') = 0",
            "1 mkdir('/d/no/where', 0777) = 0",
        ),
        refused,
    )


# ── what is safe ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_needs_two_syncs() -> None:
    """Content without a name is not found, a name without content is empty; with both syncs it is there."""

    def leaves(case: tuple[tuple[str, ...], State]) -> None:
        assert safe(disk_of(*NEW, *case[0])) == case[1]

    each(
        (
            ((), {}),
            ((SYNC,), {}),
            ((FOLDER,), {"f": b""}),
            ((SYNC, FOLDER), {"f": b"hello"}),
            ((FOLDER, SYNC), {"f": b"hello"}),
        ),
        leaves,
    )


def test_only_what_was_before_is_synced() -> None:
    """A sync covers what had ended when it began, and counts from its own end."""
    slow = ("1 fsync(3</d/f> <unfinished ...>", "2 write(9</x>, 'x', 1) = 1", "1 <... fsync resumed>) = 0")
    late = disk_of(*NEW, FOLDER, *slow)
    assert safe(late, 5) == {"f": b""}
    assert safe(late, 6) == {"f": b"hello"}
    after = disk_of(*NEW, FOLDER, SYNC, "1 write(3</d/f>, '!', 1) = 1")
    assert safe(after) == {"f": b"hello"}
    failed = disk_of(*NEW, FOLDER, "1 fsync(3</d/f>) = -1 EIO (Input/output error)")
    assert safe(failed) == {"f": b""}


def test_a_move_is_whole_or_not_at_all() -> None:
    """Until the folder it went to is synced, a moved file may be where it was, and is never in both places or none."""
    base = {"f": b"old", "sub": None}
    moved = ("1 rename('/d/f', '/d/sub/f') = 0", "1 fsync(4</d>) = 0")
    assert safe(disk_of(*moved, base=base)) == base
    assert safe(disk_of(*moved, "1 fsync(5</d/sub>) = 0", base=base)) == {"sub": None, "sub/f": b"old"}


def test_a_new_file_takes_an_old_ones_place() -> None:
    """By rename over it: before the sync of the folder the old one is there, whole; after it the new one."""
    put = (*NEW, SYNC, "1 rename('/d/f', '/d/g') = 0")
    assert safe(disk_of(*put, base={"g": b"old"})) == {"g": b"old"}
    assert safe(disk_of(*put, FOLDER, base={"g": b"old"})) == {"g": b"hello"}


def test_what_is_not_safe_is_anybodys_guess() -> None:
    """Each change alone may be kept or not; content that did not come may be zeros."""
    disk = disk_of(*NEW, "1 ftruncate(3</d/f>, 3) = 0", "1 mkdir('/d/x', 0777) = 0")
    assert [(change.path, change.removal) for change in disk.unsafe(END)] == [("f", False)] * 3 + [("x", False)]

    def without_content(change: Change) -> bool:
        return change.data is None

    assert disk.state(END, without_content) == {"f": b"\0\0\0", "x": None}
    assert disk.state(END, lambda change: True, zeros=True) == {"f": b"\0\0\0", "x": None}
    assert disk.state(2, lambda change: True) == {"f": b"hello"}
