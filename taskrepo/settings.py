"""The settings of git that the ledger's repository needs, so that every program of git keeps its rules.

* They stand in the repository's own configuration, which outweighs what a machine or a person has set.
* A setting is right when it has exactly these values in this order; others of the repository are left alone.
* A repair is all or nothing, and durable when it returns.

>>> SETTINGS["uploadpack.hideRefs"]
('refs/', '!refs/heads/main')
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from taskrepo import durable
from taskrepo.errors import Invalid

MAX_PACK: Final = 144 << 20
"""The most bytes of packed objects that one push may bring."""
SETTINGS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "core.bigFileThreshold": ("1m",),  # larger blobs pass through git without being held in memory
    "core.fsync": ("all",),
    "core.fsyncMethod": ("fsync",),
    "core.hooksPath": ("hooks",),  # what somebody's own configuration says must not lead past ours
    "core.logAllRefUpdates": ("false",),
    "gc.auto": ("0",),
    "maintenance.auto": ("false",),
    "pack.writeBitmaps": ("false",),
    "receive.advertisePushOptions": ("true",),
    "receive.autogc": ("false",),
    "receive.denyDeletes": ("true",),
    "receive.denyNonFastForwards": ("true",),
    "receive.fsckObjects": ("true",),
    # Of these lists the last that fits counts; what is hidden cannot be pushed to, whatever a hook says.
    "receive.hideRefs": ("refs/", "!refs/heads/main", "!refs/for"),
    "receive.maxInputSize": (str(MAX_PACK),),
    "receive.procReceiveRefs": ("refs",),  # git itself updates no ref: without the hooks, no push succeeds
    "receive.shallowUpdate": ("false",),
    "receive.unpackLimit": ("1",),  # what a push brings is one pack, of which nothing is held in memory
    "transfer.fsckObjects": ("true",),
    "transfer.hideRefs": (),  # uploading and receiving have lists of their own, whose order is theirs alone
    "uploadpack.allowAnySHA1InWant": ("true",),  # as version 2 always has it, so that partial clones work in all
    "uploadpack.allowFilter": ("true",),
    "uploadpack.hideRefs": ("refs/", "!refs/heads/main"),
})
"""Every setting that is needed: its values in order. One without values must not be set in the repository."""

Values = tuple[str | None, ...]


def wrong(config: Any) -> dict[str, Values]:
    """Each setting that a configuration (of libgit2) has otherwise: name → its values there.

    `None` stands for a name without a value, which git takes for true.
    """
    found = {name: tuple(config.get_multivar(name)) for name in SETTINGS}
    return {name: values for name, values in found.items() if values != SETTINGS[name]}


def put(config: Any, names: Collection[str] = tuple(SETTINGS)) -> None:
    """Give the settings with these names their values."""
    for name in names:
        if tuple(config.get_multivar(name)):
            config.delete_multivar(name, ".*")
        for value in SETTINGS[name]:
            config.set_multivar(name, "^$", value)  # which no value matches, so it is added behind the others


def repair(path: Path, opened: Callable[[str], Any]) -> list[str]:
    """Set what is wrong in a repository's configuration file as it must be; returns the names.

    `opened` reads a configuration file. Raises `Invalid("bad-config")` for what only a person can mend.
    """
    found = wrong(opened(str(path)))
    for name, values in found.items():
        if None in values:  # libgit2 1.9 does not survive to delete it
            raise Invalid("bad-config", str(path), f"{name} stands there without a value; delete that line")
    if found:
        fresh = path.with_name("taskrepo-config.new")
        fresh.write_bytes(path.read_bytes())
        try:
            put(opened(str(fresh)), found)
            durable.put(path, fresh.read_bytes())
        finally:
            fresh.unlink()
        durable.sync_folder(path.parent)
    if left := wrong(opened(str(path))):
        raise Invalid("bad-config", str(path), f"{', '.join(left)} comes from a file that this one includes")
    return list(found)
