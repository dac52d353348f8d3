"""The program that keeps the listing index for an exchange that has better to do; see `indexing`, which begins it.

`python -m taskrepo.indexer DATA` answers each line of its standard input, and ends with it:

* `keep`: `done`, once it is the index's writer;
* `up COMMIT`, `anew COMMIT`: `on` or `built NUMBER` as it comes, then `done STAMP`, the commit that the index shows;
* `join rest`, `join busy`: `done`;
* `failed WORDS` is the answer where something went wrong.

>>> main(["data/exchange"])                                                             # doctest: +SKIP
0
"""

import sys
from pathlib import Path

from taskrepo import beside
from taskrepo.config import Config
from taskrepo.errors import Refused, TaskrepoError
from taskrepo.exchange import Exchange
from taskrepo.keeping import Keeper


def main(words: list[str]) -> int:
    """Answer until nobody asks any more; the exit code."""
    try:
        with Exchange(Config(Path(words[0]))) as exchange:
            _say("ready")
            for line in sys.stdin:
                _say(_answer(exchange.follower.keeper, line.split()))
                exchange.follower.keeper.index.let_go()
    except (TaskrepoError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _answer(keeper: Keeper, words: list[str]) -> str:
    try:
        if not keeper.index.try_writer():
            raise Refused("busy", "another process keeps the listing index")
        if words[0] == "join":
            keeper.join(words[1] == "rest")
        elif words[0] != "keep":
            keeper.bring_up(words[1], words[0] == "anew", _heard, lambda: False)
    except Exception as error:  # told to whoever asked, who tries again
        return f"failed {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return f"done {keeper.index.stamp or ''}"


def _heard(done: int | None) -> None:
    _say("on" if done is None else f"built {done}")


def _say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    beside.begun()
    sys.exit(main(sys.argv[1:]))
