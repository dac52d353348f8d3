"""All harnesses by name.

>>> "commit" in HARNESSES
True
"""

from types import MappingProxyType
from typing import Final

from tests.fuzz import of_archives, of_documents, of_http, of_ledger, of_text
from tests.fuzz.harness import Harness

_GROUPS: Final = (of_ledger, of_documents, of_text, of_http, of_archives)
HARNESSES: Final = MappingProxyType({each.name: each for group in _GROUPS for each in group.HARNESSES})


def chosen(names: list[str]) -> list[Harness]:
    """The harnesses of these names, or all. Raises `KeyError` for a name that there is none of."""
    return [HARNESSES[name] for name in names or HARNESSES]


assert len(HARNESSES) == sum(len(group.HARNESSES) for group in _GROUPS), "two harnesses have one name"
