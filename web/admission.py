"""Who may connect: so many clients in all, and of one address no more than leaves room for others.

* Where there is no room, one that would lose nothing makes way: an idle one, of the same address if it has too many.
* Proxies stand for many clients, so that their addresses are not counted.
* What is refused is said at once, with the time to come back.

>>> Admission(Limits(), 8).most_each
6
"""

from collections import Counter
from collections.abc import Iterable

from taskrepo.addresses import client_of, is_within, network_of
from taskrepo.web.connection import Connection
from taskrepo.web.edge import Answer, problem
from taskrepo.web.framing import Limits


class Admission:
    """The connections there are, by address. For one thread."""

    def __init__(self, limits: Limits, most: int) -> None:
        self.most = most
        self.most_each = min(limits.connections_each, most - most // 4)
        self._proxies = limits.proxies
        self._of: Counter[str] = Counter()

    def add(self, connection: Connection) -> None:
        """Somebody has connected."""
        host = str(connection.address[0])
        connection.network = "" if is_within(host, self._proxies) else network_of(host)
        self._of[connection.network] += 1

    def ask(self, connection: Connection) -> None:
        """A request has come on it: from the client's address, where a proxy tells that."""
        host = str(connection.address[0])
        connection.source = connection.network or network_of(client_of(host, connection.forwarded(), self._proxies))

    def remove(self, connection: Connection) -> None:
        """Somebody has gone."""
        self._of[connection.network] -= 1
        if not self._of[connection.network]:
            del self._of[connection.network]

    def in_the_way(self, newest: Connection, connections: Iterable[Connection]) -> "tuple[Answer, Connection | None]":
        """Whether there are too many: what to refuse the newest with, and who makes way instead, if somebody can.

        The answer's status is empty while there is room.
        """
        crowded = newest.network != "" and self._of[newest.network] > self.most_each
        if not crowded and self._of.total() <= self.most:
            return ("", [], b""), None
        spare = (
            each for each in connections
            if each is not newest and each.is_spare and (not crowded or each.network == newest.network)
        )  # fmt: skip
        return (busy(self.most_each, "connections", " from one address") if crowded else busy(self.most, "connections"),
                next(spare, None))  # fmt: skip


def busy(most: int, what: str, whose: str = "") -> Answer:
    """The answer to whom there is no room for."""
    told = f"all {most} {what}{whose} that this exchange takes at a time are taken; retry soon"
    return problem(503, "busy", told, retry_after=1)
