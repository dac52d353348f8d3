"""How an exchange is doing, in figures: what is written, what waits, how much there is.

* Reading them costs a few milliseconds and waits for nobody; nothing is asked of the ledger that grows with it.
* They are of all tasks, by number only: no name, title or path is among them.

>>> exchange.vitals.read().queue                                                        # doctest: +SKIP
0
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from taskrepo.config import Config
from taskrepo.follower import Follower
from taskrepo.gauge import room
from taskrepo.holdings import Holdings
from taskrepo.index import Index
from taskrepo.query import EVERYTHING
from taskrepo.subscriptions import Subscriptions
from taskrepo.upkeep import Upkeep
from taskrepo.writer import Writer, Written

__all__ = ["Figures", "Vitals", "Written", "loose_objects"]


@dataclass(frozen=True, slots=True)
class Figures:
    """As of one moment. `lag` in seconds, `None` for an index that is far behind; `weights` are bytes by folder.

    `webhooks` counts them by how they stand: live, behind (with something to deliver), failing, disabled.
    """

    queue: int
    lag: float | None
    tasks: Mapping[str, int]
    leases: int
    packs: int
    loose: int
    weights: Mapping[str, int]
    free: int
    webhooks: Mapping[str, int]


class Vitals:
    """The figures of one exchange. Safe to use from many threads."""

    def __init__(
        self, config: Config, writer: Writer, index: Index, follower: Follower, holdings: Holdings,
        webhooks: Subscriptions, upkeep: Upkeep,
    ) -> None:  # fmt: skip
        self._config, self._writer, self._index, self._follower = config, writer, index, follower
        self._holdings, self._webhooks, self._upkeep = holdings, webhooks, upkeep

    def watch(self, told: Callable[[Written], None]) -> None:
        """Have `told` called for each batch that this process has made durable."""
        self._writer.watched.append(told)

    def read(self) -> Figures:
        """All of them."""
        storage = self._upkeep.storage()
        return Figures(
            queue=self._writer.waiting,
            lag=self._follower.lag(time.time()),
            tasks=self._index.counts(EVERYTHING),
            leases=self._holdings.count,
            packs=storage.packs,
            loose=loose_objects(self._config.repository),
            weights={name: weight.size for name, weight in storage.weights.items()},
            free=room(self._config.data)[0],
            webhooks=self._standing(),
        )

    def _standing(self) -> dict[str, int]:
        head = self._follower.standing_head()
        hooks, asked = self._webhooks.everybodys(), self._webhooks.asking()
        return {
            "live": sum(hook.live for hook in hooks),
            "behind": sum((hook.live and hook.cursor != head) or hook.id in asked for hook in hooks),
            "failing": sum(hook.live and hook.failures > 0 for hook in hooks),
            "disabled": sum(hook.disabled_at is not None for hook in hooks),
        }


def loose_objects(repository: Path) -> int:
    """How many objects of a repository are in no pack."""
    count = 0
    for folder in range(256):
        with suppress(OSError), os.scandir(repository / "objects" / f"{folder:02x}") as entries:
            count += sum(1 for _ in entries)
    return count
