"""A bounded cache of what was used recently.

* It keeps two generations and drops the older when the newer is full, so nothing is counted or moved at each use.
* Values are never altered in it; whoever uses it from many threads may at worst miss what another has just put.

>>> recent = Recent[str](2)
>>> recent.put("a", "first")
>>> recent.get("a"), recent.get("b")
('first', None)
"""

from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """A bounded cache of what was used recently: two generations, the older dropped when the newer weighs `size`."""

    def __init__(self, size: int) -> None:
        self._size, self._weight = size, 0
        self._new, self._old = dict[str, tuple[V, int]](), dict[str, tuple[V, int]]()

    def get(self, key: str) -> V | None:
        """The value, or `None`."""
        held = self._new.get(key)
        if held is None and (held := self._old.get(key)) is not None:
            self.put(key, *held)
        return held[0] if held else None

    def put(self, key: str, value: V, weight: int = 1) -> None:
        """Remember the value, unless it alone weighs more than the cache may."""
        if weight > self._size:
            return
        if self._weight + weight > self._size:
            self._old, self._new, self._weight = self._new, {}, 0
        self._new[key] = value, weight
        self._weight += weight

    def drop(self, key: str) -> None:
        """Forget it, if it is there."""
        if (held := self._new.pop(key, None)) is not None:
            self._weight -= held[1]
        self._old.pop(key, None)
