"""What the terminal shows, and what becomes of faults."""

import io
import json
import os
import pty
from pathlib import Path
from typing import Any

import pytest

from taskrepo import cli, folders
from taskrepo.errors import Invalid
from taskrepo.folders import Upload
from taskrepo.terminal import Answer, Table, Terminal, clean, problem

HOSTILE = "a\x1b]0;pwned\x07b\x9b31mc\u202ed\u200be\r\nf\tg"


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Always."""
        return True


def on(stream: io.StringIO, **environment: str) -> Terminal:
    """A terminal that writes there."""
    return Terminal(False, stream, stream, {"TERM": "xterm-256color", **environment})


def test_text_keeps_its_letters_and_loses_what_steers() -> None:
    """Control, format and direction characters go; scripts, joiners and line ends of texts stay."""
    assert clean(HOSTILE) == "a]0;pwnedb31mcdefg"
    assert clean(HOSTILE, lines=True) == "a]0;pwnedb31mcde\nf    g"
    assert clean("日本 नी‌ह 👩‍👧") == "日本 नी‌ह 👩‍👧"


def test_tables_are_drawn_on_terminals_and_plain_on_pipes() -> None:
    """On a terminal there is style; with NO_COLOR, TERM=dumb or on a pipe there is no escape sequence."""
    rows = [("4k7q", "[bold]x[/bold] :smile: " + HOSTILE)]
    answer = Answer({}, ("Tasks:", Table(("id", "title"), rows), Table(("a",), [])))
    screen = Screen()
    on(screen).show(answer)
    drawn = screen.getvalue()
    assert "\x1b[1m" in drawn and "[bold]x[/bold] :smile:" in drawn and "\x9b" not in drawn and "\x07" not in drawn
    for stream, more in ((Screen(), {"NO_COLOR": "1"}), (Screen(), {"TERM": "dumb"}), (io.StringIO(), {})):
        on(stream, **more).show(answer)
        assert stream.getvalue().startswith("Tasks:\nid\ttitle\n4k7q\t[bold]x[/bold] :smile: a")
        assert "\x1b" not in stream.getvalue()


def test_json_is_pure_ascii_and_nothing_else() -> None:
    """With --json only the data is written, with every unusual character escaped."""
    out, err = io.StringIO(), Screen()
    terminal = Terminal(True, out, err, {})
    terminal.show(Answer({"title": HOSTILE}, ("words",)))
    assert json.loads(out.getvalue()) == {"title": HOSTILE} and out.getvalue().isascii()
    with terminal.progress("Working") as progress:
        progress(1, 2)
    terminal.show(Answer(None, ("words",)))
    assert err.getvalue() == "" and out.getvalue().count("\n") == 3


def test_progress_moves_on_terminals_only() -> None:
    """A bar is drawn on a terminal and nothing on a pipe."""
    for stream, drawn in ((Screen(), True), (io.StringIO(), False)):
        with on(stream).progress("Working") as progress:
            progress(1, 2)
            progress(2, 0)
        assert ("Working" in stream.getvalue()) is drawn


def test_a_problem_cannot_be_disguised() -> None:
    """Extra members never replace the standard ones."""
    made = problem("busy", "d", 503, "t", {"code": "ok", "status": 200, "holder": "bob"})
    assert (made["code"], made["status"], made["holder"]) == ("busy", 503, "bob")


def _fails(error: BaseException) -> Any:
    def carry_out(*_: object) -> Answer:
        raise error

    return carry_out


def test_a_fault_is_exit_code_4_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Anything unforeseen is told in one sentence, as a problem with --json, with its traceback only on request."""
    monkeypatch.setattr(cli, "_carry_out", _fails(ZeroDivisionError("oh\x1bno")))
    assert cli.main(["me"]) == 4
    assert capsys.readouterr().err.startswith("taskrepo: internal: ZeroDivisionError: ohno (this is a fault")
    assert cli.main(["me", "--json"]) == 4
    said = capsys.readouterr()
    assert json.loads(said.out)["code"] == "internal" and said.err == ""
    monkeypatch.setenv("TASKREPO_DEBUG", "1")
    assert cli.main(["me"]) == 4
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_what_the_machine_refuses_is_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A data folder that cannot be made is named, with exit code 2."""
    (tmp_path / "file").write_text("")
    assert cli.main(["init", "--data", str(tmp_path / "file" / "x")]) == 2
    assert capsys.readouterr().err == f"taskrepo: unusable-file: {tmp_path / 'file' / 'x'}: Not a directory\n"


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a command without a traceback."""
    monkeypatch.setattr(cli, "_carry_out", _fails(KeyboardInterrupt()))
    assert cli.main(["me"]) == 130


@pytest.mark.parametrize(
    "words",
    [["list", "--limit", "x"], ["list", "-x"], ["actor"], ["fail", "4k7q"], ["--json"], ["actor", "sho"]],
)
def test_usage_is_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Arguments that do not fit are refused in one sentence that names the way to the help."""
    assert cli.main(words) == 2
    said = capsys.readouterr()
    assert (said.out + said.err).count("usage") >= 1


def test_a_file_lands_whole_or_not_at_all(tmp_path: Path) -> None:
    """Content of another size or hash leaves nothing behind, also in place of an older file."""
    for size, sha256 in ((3, "0" * 64), (2, "0" * 64), (9, "0" * 64)):
        with pytest.raises(Invalid, match="hash-mismatch"):
            folders.put_down(tmp_path, "a/b", lambda: io.BytesIO(b"abc"), size=size, sha256=sha256)
    assert list((tmp_path / "a").iterdir()) == []
    assert folders.put_bytes(tmp_path, "a/b", b"abc").read_bytes() == b"abc"
    assert folders.put_bytes(tmp_path, "a/b", b"abc") == (tmp_path / "a" / "b").resolve()
    with pytest.raises(Invalid, match="file-exists"):
        folders.put_bytes(tmp_path, "a/b", b"xyz")


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a\\b", "", "e\u0301"])
def test_no_path_leads_out(tmp_path: Path, path: str) -> None:
    """A path from elsewhere is checked before anything is written."""
    with pytest.raises(Invalid, match="bad-path"):
        folders.put_bytes(tmp_path / "in", path, b"")
    assert not (tmp_path / "in").exists() or not list((tmp_path / "in").iterdir())


def test_a_link_in_place_of_a_file_is_not_written_through(tmp_path: Path) -> None:
    """A symbolic link where a file should go is refused, or replaced itself; what it points to stays."""
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("mine")
    (tmp_path / "in" / "a").symlink_to(tmp_path / "secret")
    with pytest.raises(Invalid, match="file-exists"):
        folders.put_bytes(tmp_path / "in", "a", b"other")
    folders.put_bytes(tmp_path / "in", "a", b"other", replace=True)
    assert (tmp_path / "secret").read_text() == "mine" and not (tmp_path / "in" / "a").is_symlink()


def test_folders_that_cannot_be_read_or_written_are_named(tmp_path: Path) -> None:
    """What the system refuses is told as a sentence about the file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Invalid, match="unwritable-file"):
        folders.put_bytes(tmp_path / "file", "a", b"")
    with pytest.raises(Invalid, match="unreadable-file"):
        Upload("a", tmp_path / "none", 1).open()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Invalid, match="is not a file"):
        folders.attachments([tmp_path / "pipe"])
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "summary.md").write_bytes(b"\xff")
    with pytest.raises(Invalid, match="bad-encoding"):
        folders.gather(tmp_path / "p")


def test_what_is_sent_is_bounded_and_tidy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What macOS leaves about is not sent; two files of one name and too many files are refused."""
    for name in (".DS_Store", "input/._a", "input/a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "manifest.yaml").write_text("title: t\n")
    assert [u.path for u in folders.pack(tmp_path).uploads] == ["input/a"]
    with pytest.raises(Invalid, match="is there twice"):
        folders.attachments([tmp_path / "input/a", tmp_path / "input/a"])
    monkeypatch.setattr(folders, "MAX_SENT", 1)
    with pytest.raises(Invalid, match="too-many-files"):
        folders.pack(tmp_path)


def test_a_real_terminal_gets_a_table(tmp_path: Path) -> None:
    """On a pseudo-terminal the script draws its table with style, and with NO_COLOR without."""
    from tests.support.shell import SCRIPT, Shell

    shell = Shell({"TASKREPO_DATA": str(tmp_path / "x"), "TERM": "xterm-256color"})
    shell.json("init")
    for more, styled in (({}, True), ({"NO_COLOR": "1"}, False)):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(SCRIPT, ["taskrepo", "actor", "list"], shell.environment(**more))
        shown = b""
        try:
            while data := os.read(terminal, 4096):
                shown += data
        except OSError:
            pass
        os.waitpid(pid, 0)
        os.close(terminal)
        assert b"admin" in shown and (b"\x1b[" in shown) is styled
