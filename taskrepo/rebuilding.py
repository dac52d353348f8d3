"""The program that fills a folder with a new listing index, in a process of its own.

* Reading every task takes minutes and hundreds of MiB at a hundred thousand of them: the exchange keeps its memory, and
  its interpreter for whoever asks meanwhile.
* Nobody reads the folder until the program has ended well; it writes nowhere else.

`python -m taskrepo.rebuilding DATA FOLDER COMMIT` prints how many tasks are done, a line each time.

>>> main(["data/exchange", "data/exchange/index/8f2c", "4f2c…"])                        # doctest: +SKIP
0
"""

import sys
from pathlib import Path

from taskrepo import beside
from taskrepo.config import Config
from taskrepo.errors import TaskrepoError
from taskrepo.exchange import Exchange


def main(words: list[str]) -> int:
    """Fill the folder with the rows of all tasks as of the commit; the exit code."""
    data, home, commit = Path(words[0]), Path(words[1]), words[2]
    try:
        with Exchange(Config(data)) as exchange:
            # When nobody listens any more, this ends the process.
            exchange.follower.keeper.fill(home, commit, lambda done: print(done, flush=True))
    except (TaskrepoError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    beside.begun()
    sys.exit(main(sys.argv[1:]))
