"""How the interpreter is set where many are served: in a process of its own, because what is set there stays."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

HEAPS = """
import ctypes, gc, sys, threading
from taskrepo import interpreter

if sys.argv[2] == "settled":
    interpreter.settle()
all_here = threading.Barrier(12)

def work():
    all_here.wait()
    kept = [bytes(1000) for _ in range(1000)]
    all_here.wait()

threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
print(gc.get_threshold()[2])
"""


@pytest.mark.parametrize(("how", "most", "seldom"), [("settled", 2, 100), ("as it is", 99, 10)])
def test_threads_share_heaps_and_garbage_is_sought_seldom(tmp_path: Path, how: str, most: int, seldom: int) -> None:
    """A dozen threads have two heaps where many are served; a process that does not serve is left as it was."""
    told = tmp_path / "told.xml"
    done = subprocess.run([sys.executable, "-c", HEAPS, told, how], capture_output=True, text=True, check=True)
    heaps = len(ElementTree.parse(told).findall("heap"))
    assert heaps <= most and (heaps > 2) == (how != "settled")
    assert int(done.stdout) == seldom
