"""`tools/serve.py`: what it says, and that nothing is made or shown when it cannot serve."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, str(ROOT / "tools" / "serve.py")]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TASKREPO_")}


def refused(*words: str, cwd: Path) -> str:
    """What it says on standard error; it must fail and print nothing else."""
    done = subprocess.run(
        [*COMMAND, *words], cwd=cwd, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "99999"], "cannot listen at 127.0.0.1:99999: a port is from 0 to 65535. Choose another place"),
        (["--port", "abc"], "argument --port: invalid int value: 'abc'"),
        (["--prot", "1"], "unrecognized arguments: --prot 1; `tools/serve --help` shows"),
        (["--port", "0", "--host", "192.0.2.1"], "cannot listen at 192.0.2.1:0: cannot assign requested address."),
    ],
)
def test_what_cannot_be_served_makes_nothing(words: list[str], said: str, tmp_path: Path) -> None:
    """A mistake in the arguments is told in a sentence, before there is an exchange or a sign-in link."""
    assert refused(*words, "--data", str(tmp_path / "new"), cwd=tmp_path).startswith(f"serve: {said}")
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    """Another server on the port is no reason for a traceback, or for using up a link."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("--port", str(port), "--data", str(tmp_path / "new"), cwd=tmp_path)
    reason = "address already in use"
    assert said == f"serve: cannot listen at 127.0.0.1:{port}: {reason}. Choose another place with --host or --port.\n"


def test_a_second_start_shows_a_link_but_no_key(tmp_path: Path) -> None:
    """The first start makes the exchange and shows its key; later ones show how to sign in, at the same data folder."""
    folder = tmp_path / "a data folder"
    first, second = (started(folder, tmp_path) for _ in range(2))
    assert f"Exchange:   {folder} (new)\n" in first and "SHOWN ONLY THIS ONCE" in first
    assert f"Exchange:   {folder}\n" in second and "tr_" not in second
    for said in (first, second):
        address = re.search(r"Address:    (http://127\.0\.0\.1:[1-9][0-9]*)\n", said)
        assert address and f"{address[1]}/login/link/" in said and f"serves {folder} at {address[1]}" in said


def started(folder: Path, cwd: Path) -> str:
    """What it prints until it serves; it is stopped then."""
    command = [*COMMAND, "--port", "0", "--data", str(folder)]
    with subprocess.Popen(command, cwd=cwd, env=_environment(), stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            said = ""
            for line in server.stdout:
                said += line
                if line.startswith("taskrepo serves"):
                    break
        finally:
            server.terminate()
    assert server.returncode == 0
    return said
