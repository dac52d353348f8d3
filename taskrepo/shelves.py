"""First pages of the listing index that many ask for alike, kept until the index moves on.

* Agents of the same abilities look for work in the same place, many times between two commits of the index: one of them
  searches, and the others find its answer.
* They are pages over all tasks, whoever may know of them. Whoever takes a task from one asks first whether its reader
  may read it.
* A page is never older than the index was when it was asked for.

>>> Shelves(index).first(Query(states=("published",), sort="priority"), 32).ids         # doctest: +SKIP
('4k7q2m9x', 'b8v1c0tz')
"""

from dataclasses import replace
from typing import Final

from taskrepo.index import Index
from taskrepo.query import EVERYTHING, Page, Query

_MOST: Final = 256  # kinds of questions between two commits; what is asked beyond them is not kept


class Shelves:
    """Pages of one index. Safe to use from many threads."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._kept: tuple[str | None, dict[Query, Page]] = None, {}

    def first(self, query: Query, limit: int) -> Page:
        """The first `limit` of all tasks that match, without a cursor. Raises as `Index.search`.

        One query is always asked with one limit.
        """
        stamp = self._index.stamp
        of, pages = self._kept
        if of != stamp:
            # The stamp was looked at before the page: a page may be newer than it says, and never older.
            of, pages = self._kept = stamp, {}
        page = pages.get(query)
        if page is None:
            page = self._index.first(replace(query, reader=EVERYTHING), limit)
            if len(pages) < _MOST:
                pages[query] = page
        return page
