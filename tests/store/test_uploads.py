"""Uploads ahead of a command, on disk: resumed, verified, bounded, and nobody else's."""

import errno
import fcntl
import hashlib
import io
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from taskrepo import files as staged
from taskrepo import uploads as module
from taskrepo.errors import Invalid, TaskrepoError
from taskrepo.files import Staging
from taskrepo.model import Policy
from taskrepo.uploads import MAX_DIGESTS, MAX_WAITING, Piece, Upload, Uploads

POLICY = Policy(max_file_bytes=1 << 20, max_actor_bytes=3 << 20, upload_seconds=100)
DATA = bytes(range(256)) * 1000
NAME = hashlib.sha256(DATA).hexdigest()


class Cut:
    """A body whose client goes away after these bytes."""

    def __init__(self, data: bytes) -> None:
        self._rest = io.BytesIO(data)

    def read1(self, size: int, /) -> bytes:
        """At most `size` bytes, then the failure."""
        if data := self._rest.read1(size):
            return data
        raise Invalid("truncated-body", "body", "the client closed the connection")


@pytest.fixture
def uploads(tmp_path: Path) -> Iterator[Uploads]:
    """A store with nothing in it; no descriptor may be left open by a test."""
    store = Uploads(tmp_path / "uploads", Staging(tmp_path / "staging"))
    yield store
    store.close()
    assert [name for name in _open_files() if name.startswith(str(tmp_path))] == []


def _open_files() -> Iterator[str]:
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            yield str(descriptor.readlink())


def sent(uploads: Uploads, data: bytes = DATA, actor: str = "bob", policy: Policy = POLICY) -> Upload:
    """A whole upload in one piece."""
    name = hashlib.sha256(data).hexdigest()
    return uploads.receive(actor, name, io.BytesIO(data), Piece(None, len(data), len(data)), policy)


def piece(uploads: Uploads, start: int, end: int, data: bytes = DATA) -> Upload:
    """A piece of `DATA` of bob's, or what comes under its name."""
    return uploads.receive("bob", NAME, io.BytesIO(data[start:end]), Piece(start, end - start, len(data)), POLICY)


def refused(call: object, *words: object, **options: object) -> TaskrepoError:
    """What a call raises."""
    with pytest.raises(TaskrepoError) as caught:
        call(*words, **options)  # type: ignore[operator]
    return caught.value


def names(uploads: Uploads) -> set[str]:
    """What is on disk, below the actors' folders."""
    return {path.name for path in uploads.folder.glob("*/*")}


def test_a_whole_upload_is_private_and_complete(uploads: Uploads) -> None:
    """Content in one piece is whole at once, in files and folders only the exchange may read."""
    found = sent(uploads)
    assert (found.size, found.offset, found.complete) == (len(DATA), len(DATA), True)
    assert 0 <= time.time() + 100 - found.expires_at < 60
    path = uploads.folder / "bob" / NAME
    assert path.read_bytes() == DATA and names(uploads) == {NAME}
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent, uploads.folder)] == [0o600, 0o700, 0o700]


def test_pieces_become_the_whole(uploads: Uploads) -> None:
    """Each piece starts where the last one ended; until the last there is a part that tells its length."""
    first = piece(uploads, 0, 1000)
    assert (first.offset, first.size, first.complete) == (1000, len(DATA), False)
    assert uploads.find("bob", NAME, POLICY) == first and names(uploads) == {f"{NAME}.part"}
    piece(uploads, 1000, 70_000)
    assert piece(uploads, 70_000, len(DATA)).complete and names(uploads) == {NAME}


def test_the_digest_of_pieces_is_kept(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the process lives a continued upload is not read again; of one it does not know every byte is."""
    read: list[int] = []
    whole = os.pread
    monkeypatch.setattr(module.os, "pread", lambda fd, n, at: (read.append(at), whole(fd, n, at))[1])
    piece(uploads, 0, 1000)
    piece(uploads, 1000, len(DATA))
    assert not read
    uploads.give_up("bob", NAME)
    piece(uploads, 0, 1000)
    uploads.close()
    assert piece(uploads, 1000, len(DATA)).complete and read


def test_a_restart_goes_on(uploads: Uploads, tmp_path: Path) -> None:
    """Another process finds the part at its true length, without the announced total, and verifies all of it."""
    piece(uploads, 0, 5000)
    other = Uploads(tmp_path / "uploads", Staging(tmp_path / "other"))
    assert other.find("bob", NAME, POLICY).size is None
    piece(other, 5000, 9000)
    assert piece(other, 9000, len(DATA)).complete
    other.close()


def test_a_part_another_process_changed_is_read_again(uploads: Uploads, tmp_path: Path) -> None:
    """A digest in memory counts only for the very file it was made of, however alike another one looks."""
    other = Uploads(tmp_path / "uploads", Staging(tmp_path / "other"))
    piece(uploads, 0, 5000)
    other.give_up("bob", NAME)
    piece(other, 0, 5000, bytes(len(DATA)))
    assert refused(piece, uploads, 5000, len(DATA)).code == "hash-mismatch"
    piece(uploads, 0, 5000)
    piece(other, 5000, 6000)
    assert piece(uploads, 6000, len(DATA)).complete
    other.close()


def test_digests_are_bounded(uploads: Uploads) -> None:
    """Of many uploads under way only so many digests are kept; the others are read again and are right."""
    for number in range(MAX_DIGESTS + 3):
        data = b"%d" % number
        uploads.receive("bob", hashlib.sha256(data).hexdigest(), io.BytesIO(data[:1]), Piece(0, 1, 9), POLICY)
    assert len(uploads._digests) == MAX_DIGESTS


def test_a_cut_keeps_what_came(uploads: Uploads) -> None:
    """A client that goes away leaves every byte that arrived, and goes on from there."""
    body, all_of_it = Cut(DATA[:12_345]), Piece(None, len(DATA), len(DATA))
    assert refused(uploads.receive, "bob", NAME, body, all_of_it, POLICY).code == "truncated-body"
    assert uploads.find("bob", NAME, POLICY).offset == 12_345
    assert piece(uploads, 12_345, len(DATA)).complete


def test_a_cut_before_the_first_byte_leaves_nothing(uploads: Uploads) -> None:
    """An upload of which nothing came is none."""
    refused(uploads.receive, "bob", NAME, Cut(b""), Piece(0, 9, 9), POLICY)
    assert names(uploads) == set()
    assert refused(uploads.find, "bob", NAME, POLICY).code == "unknown-file"


def test_a_chunked_piece_that_ends_early_or_late(uploads: Uploads) -> None:
    """A body without a length is held to the piece it announces; what fitted stays."""
    short = refused(uploads.receive, "bob", NAME, io.BytesIO(DATA[:10]), Piece(0, 20, len(DATA)), POLICY)
    assert short.code == "truncated-body" and uploads.find("bob", NAME, POLICY).offset == 10
    late = refused(uploads.receive, "bob", NAME, io.BytesIO(DATA[10:31]), Piece(10, 20, len(DATA)), POLICY)
    assert late.code == "bad-content-range" and uploads.find("bob", NAME, POLICY).offset == 30
    assert piece(uploads, 30, len(DATA)).complete


def test_content_of_unknown_length(uploads: Uploads) -> None:
    """Without a length the end of the body is the end of the content."""
    assert uploads.receive("bob", NAME, io.BytesIO(DATA), Piece(), POLICY).complete


def test_nothing_is_content_too(uploads: Uploads) -> None:
    """An empty file can be sent ahead."""
    found = sent(uploads, b"")
    assert (found.size, found.complete) == (0, True)


def test_a_whole_content_begins_anew(uploads: Uploads) -> None:
    """Content that is not announced as a piece replaces a part that is there."""
    piece(uploads, 0, 9000, b"other" * 9999)
    assert sent(uploads).complete


def test_a_wrong_offset_says_the_right_one(uploads: Uploads) -> None:
    """A piece that starts elsewhere than the part ends changes nothing."""
    assert refused(piece, uploads, 5, 10).details == {"offset": 0} and names(uploads) == set()
    piece(uploads, 0, 10)
    for start in (0, 9, 11):
        error = refused(piece, uploads, start, 20)
        assert (error.code, error.details["offset"]) == ("wrong-offset", 10)
    assert uploads.find("bob", NAME, POLICY).offset == 10


def test_other_content_is_never_whole(uploads: Uploads) -> None:
    """Content of another hash than announced is thrown away, in one piece or in several."""
    error = refused(uploads.receive, "bob", NAME, io.BytesIO(b"x"), Piece(None, 1, 1), POLICY)
    assert error.code == "hash-mismatch" and hashlib.sha256(b"x").hexdigest() in error.message
    piece(uploads, 0, 1000, bytes(len(DATA)))
    assert refused(piece, uploads, 1000, len(DATA)).code == "hash-mismatch"
    assert names(uploads) == set()


def test_one_writer_at_a_time(uploads: Uploads) -> None:
    """Who comes while another writes hears busy, and so does who gives up or sweeps; the writer is not disturbed."""

    class During(io.BytesIO):
        seen: list[str]

        def read1(self, size: int = -1, /) -> bytes:
            calls = (lambda: piece(uploads, 0, 10), lambda: uploads.give_up("bob", NAME))
            self.seen = [refused(call).code for call in calls]
            assert uploads.sweep(time.time() + 1000) == 0
            return super().read1(size)

    body = During(DATA)
    assert uploads.receive("bob", NAME, body, Piece(None, len(DATA), len(DATA)), POLICY).complete
    assert body.seen == ["busy", "busy"]


def test_a_part_that_is_renamed_while_it_is_locked(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gets the lock of a file that lost its name meanwhile hears busy instead of writing into it."""
    piece(uploads, 0, 10)

    def late(descriptor: int, _how: int) -> None:
        (uploads.folder / "bob" / f"{NAME}.part").rename(uploads.folder / "bob" / NAME)

    monkeypatch.setattr(fcntl, "flock", late)
    assert refused(piece, uploads, 10, 20).code == "busy"


def test_whose_it_is(uploads: Uploads) -> None:
    """An upload is its sender's alone: others neither find nor adopt nor remove it, and send every byte themselves."""
    sent(uploads)
    place = {"path": "a", "name": "a", "kind": "event_file", "limit": 1 << 20}
    for call in (
        lambda: uploads.find("eve", NAME, POLICY),
        lambda: uploads.adopt("eve", NAME, **place),  # type: ignore[arg-type]
        lambda: uploads.give_up("eve", NAME),
    ):
        assert refused(call).code == "unknown-file"
    wrong = refused(uploads.receive, "eve", NAME, io.BytesIO(b"guess"), Piece(None, 5, 5), POLICY)
    assert wrong.code == "hash-mismatch" and uploads.find("bob", NAME, POLICY).complete
    uploads.spend("eve", NAME)
    assert uploads.find("bob", NAME, POLICY).complete and sent(uploads, actor="eve").complete


def test_names_that_are_none(uploads: Uploads) -> None:
    """Nothing but an actor's id and 64 lower-case digits reaches the disk."""
    for actor in ("", "..", "a/b", "A", "bob\n"):
        assert refused(uploads.find, actor, NAME, POLICY).code == "bad-id"
    for name in ("", "..", NAME.upper(), f"{NAME}.part", f"{NAME}\n", "../" + NAME[3:]):
        assert refused(uploads.find, "bob", name, POLICY).code == "bad-hash"


def test_links_are_not_followed(uploads: Uploads, tmp_path: Path) -> None:
    """A link in the place of a part is an error, not a way to another file."""
    (uploads.folder / "bob").mkdir()
    (uploads.folder / "bob" / f"{NAME}.part").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        sent(uploads)
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_may_have_so_many_bytes(uploads: Uploads) -> None:
    """A file over the limit is refused before it comes, or, of unknown length, as soon as it is; with the figures."""
    most = POLICY.max_file_bytes
    before = refused(uploads.receive, "bob", NAME, Cut(b""), Piece(None, most + 1, most + 1), POLICY)
    assert (before.code, before.details) == ("file-too-large", {"limit": most, "size": most + 1})
    ahead = refused(uploads.receive, "bob", NAME, Cut(b""), Piece(0, 5, most + 1), POLICY)
    assert ahead.details["size"] == most + 1
    during = refused(uploads.receive, "bob", NAME, io.BytesIO(bytes(2 * most)), Piece(), POLICY)
    assert (during.code, during.details["limit"]) == ("file-too-large", most)
    assert names(uploads) == set()


def test_an_actor_may_have_so_many_bytes_waiting(uploads: Uploads) -> None:
    """What waits counts, and one more that does not fit is refused with the figures; other actors have their own."""
    data = [bytes([n]) * (1 << 20) for n in range(4)]
    for each in data[:3]:
        sent(uploads, each)
    error = refused(sent, uploads, data[3])
    assert (error.code, error.details) == ("actor-quota", {"limit": 3 << 20, "size": 4 << 20})
    chunked = refused(uploads.receive, "bob", NAME, io.BytesIO(DATA), Piece(), POLICY)
    assert chunked.code == "actor-quota" and len(names(uploads)) == 3
    assert sent(uploads, data[3], "eve").complete
    uploads.give_up("bob", hashlib.sha256(data[0]).hexdigest())
    assert sent(uploads, data[3]).complete


def test_what_is_announced_counts_before_it_comes(uploads: Uploads) -> None:
    """Uploads that come at the same time cannot pass the limit together."""
    tight = Policy(max_file_bytes=1 << 20, max_actor_bytes=len(DATA) + 5)
    seen = []

    class During(io.BytesIO):
        def read1(self, size: int = -1, /) -> bytes:
            if not seen:
                seen.append(refused(sent, uploads, b"sixsix", policy=tight).code)
                assert sent(uploads, b"five5", policy=tight).complete
            return super().read1(size)

    assert uploads.receive("bob", NAME, During(DATA), Piece(None, len(DATA), len(DATA)), tight).complete
    assert seen == ["actor-quota"]


def test_an_actor_may_have_so_many_waiting(uploads: Uploads) -> None:
    """The number of waiting uploads is bounded; one that is there already may go on."""
    for number in range(MAX_WAITING - 1):
        sent(uploads, b"%d" % number)
    piece(uploads, 0, 10)
    error = refused(sent, uploads, b"one more")
    assert (error.code, error.details) == ("actor-quota", {"limit": MAX_WAITING, "size": MAX_WAITING + 1})
    assert piece(uploads, 10, len(DATA)).complete


def test_totals_are_bounded(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many announced lengths are remembered has a bound; a forgotten one is only not told."""
    monkeypatch.setattr(module, "MAX_TOTALS", 0)
    assert piece(uploads, 0, 10).size is None
    assert piece(uploads, 10, len(DATA)).complete


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_busy(uploads: Uploads, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """When the disk is full the exchange is busy; what it took stays, counted, and the upload goes on later."""
    write, room = os.write, [5000]

    def full(descriptor: int, data: memoryview) -> int:
        if not room:
            raise OSError(code, "full")
        return write(descriptor, data[: room.pop()])

    monkeypatch.setattr(module.os, "write", full)
    assert refused(sent, uploads).code == "busy"
    monkeypatch.setattr(module.os, "write", write)
    assert uploads.find("bob", NAME, POLICY).offset == 5000
    assert piece(uploads, 5000, len(DATA)).complete


def test_another_failure_of_the_disk_is_told(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is neither a lock nor a full disk is not hidden, and nothing stays open."""

    def failing(_descriptor: int, _how: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(fcntl, "flock", failing)
    with pytest.raises(OSError, match="broken"):
        sent(uploads)


def test_adopted_content_outlives_its_upload(uploads: Uploads, tmp_path: Path) -> None:
    """A whole upload becomes a staged file like a received one; used up, its content stays for the command."""
    table = b"a,b\n1,2\n" * 1000
    name = sent(uploads, table).sha256
    place = {"path": "input/a.csv", "name": "x/ü.csv", "limit": 1 << 20}
    file = uploads.adopt("bob", name, kind="task_attachment", **place)  # type: ignore[arg-type]
    again = uploads.adopt("bob", name, kind="task_attachment", **place)  # type: ignore[arg-type]
    assert file == again and (file.name, file.media_type, file.size) == ("ü.csv", "text/csv", len(table))
    staging = uploads._staging
    received = staging.receive(io.BytesIO(table), kind="task_attachment", **place)  # type: ignore[arg-type]
    assert file == received
    uploads.spend("bob", name, name)
    assert staging.content(name) == table
    staging.release(name, name, name)
    assert list((tmp_path / "staging").iterdir()) == [] and names(uploads) == set()


def test_only_whole_uploads_are_adopted(uploads: Uploads) -> None:
    """A part is no content yet, and the refusal says what to do; a limit that has become lower holds."""
    piece(uploads, 0, 10)
    place = {"path": "a", "name": "a", "kind": "event_file"}
    error = refused(uploads.adopt, "bob", NAME, limit=1 << 20, **place)
    assert error.code == "unknown-file" and f"PUT /api/v1/uploads/{NAME}" in error.message
    piece(uploads, 10, len(DATA))
    assert refused(uploads.adopt, "bob", NAME, limit=10, **place).code == "file-too-large"
    assert list(uploads._staging.folder.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM])
def test_adopting_across_file_systems(uploads: Uploads, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Where a file cannot have a second name, its content is copied."""
    sent(uploads)

    def unable(*_: object, **__: object) -> None:
        raise OSError(code, "no")

    monkeypatch.setattr(staged.os, "link", unable)
    uploads.adopt("bob", NAME, path="a", name="a", kind="event_file", limit=1 << 20)
    assert uploads._staging.content(NAME) == DATA
    uploads._staging.release(NAME)


def test_an_upload_that_goes_while_others_are_counted(uploads: Uploads) -> None:
    """What is removed between being listed and being measured has no size."""
    sent(uploads)
    with os.scandir(uploads.folder / "bob") as entries:
        (entry,) = entries
    uploads.give_up("bob", NAME)
    assert module._size(entry) == 0


def test_giving_up(uploads: Uploads) -> None:
    """A part or a whole upload goes when its sender says so, once."""
    piece(uploads, 0, 10)
    uploads.give_up("bob", NAME)
    sent(uploads)
    uploads.give_up("bob", NAME)
    assert names(uploads) == set()
    assert refused(uploads.give_up, "bob", NAME).code == "unknown-file"


def test_old_uploads_are_swept(uploads: Uploads) -> None:
    """Uploads whose last byte came before the time go, parts and whole ones; younger ones stay."""
    old, now = sent(uploads, b"old").sha256, time.time()
    piece(uploads, 0, 10)
    for path in uploads.folder.glob("*/*"):
        os.utime(path, (now - 500, now - 500))
    young = sent(uploads, b"young").sha256
    assert uploads.find("bob", old, POLICY).expires_at < now
    assert uploads.sweep(now - 100) == 2 and names(uploads) == {young}
    assert uploads.sweep(now - 100) == 0
