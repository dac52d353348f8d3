"""What the files of a data folder are to an exchange: of which kind, and which of its promises rests on them.

* Paths are relative to the data folder, with `/`. A socket's is `socket:…`.
* A promise is kept by the files of its class. What has no class may be lost with the power: it is made anew from the
  ledger (the listing index), or no answer depends on it (locks, marks, signs of life, what was last used when, packs
  that are still being rolled up, and what helps git to read history).

>>> kind("exchange.git/refs/heads/main"), promise("exchange.git/refs/heads/main")
('branch', 'ledger')
"""

import re
from typing import Final

_KINDS: Final = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"socket:.*", "answer"),
        (r"exchange\.git/objects/(tmp_objdir-)?incoming.*", "quarantine"),
        (r"exchange\.git/objects/tmp_objdir.*", "quarantine"),
        (r"exchange\.git/(objects/tmp_rollup-.*|taskrepo-mark-.*)", "rollup"),
        (r"exchange\.git/objects/(info(/.*)?|pack/(tmp_)?(multi-pack-index|midx).*)", "help for git"),
        (r"exchange\.git/objects/pack/.*\.keep", "pack mark"),
        (r"exchange\.git/objects/pack/.*\.idx(\.\d+)?", "pack index"),
        (r"exchange\.git/objects/pack/.*\.pack(\.\d+)?", "pack"),
        (r"exchange\.git/objects/pack", "pack folder"),
        (r"exchange\.git/(refs/heads/main\.lock|taskrepo-mark)", "branch lock"),
        (r"exchange\.git/(refs/heads/main|taskrepo-main\.new)", "branch"),
        (r"exchange\.git/taskrepo-spares(/.*)?", "spare file"),
        (r"exchange\.git/refs/heads", "branch folder"),
        (r"exchange\.git(/.*)?", "repository"),
        (r"lfs/pending(/.*)?", "large claim"),
        (r"lfs(/.*)?", "large file"),
        (r"staging(/.*)?", "staging"),
        (r"uploads(/.*)?", "upload"),
        (r"index/writer\.lock|writer\.lock|private/.*\.?lock", "lock"),
        (r"index/[^/]+/.*", "index part"),
        (r"index(/.*)?", "index"),
        (r"private/vault(/.*)?", "vault"),
        (r"private/accounts\.db.*", "credentials"),
        (r"private/webhooks\.db.*", "webhooks"),
        (r"private/leases(/.*)?", "sign of life"),
        (r"private/signing_key.*", "signing key"),
        (r"private/.+\.db.*", "small tables"),
        (r"private(/.*)?", "private folder"),
    )
)
_PROMISES: Final = {
    "pack": "ledger", "pack index": "ledger", "pack folder": "ledger", "branch": "ledger", "branch folder": "ledger",
    "spare file": "ledger", "repository": "ledger", "signing key": "ledger", "large claim": "large",
    "large file": "large", "upload": "uploads", "vault": "vault", "credentials": "credentials", "webhooks": "webhooks",
}  # fmt: skip
_FREE: Final = re.compile(r"exchange\.git/taskrepo-packs\.lock|private/.*(lock|-shm|\.sock)|exchange\.git/.*\.lock")
_TEMPORARY: Final = re.compile(
    r"(^|/)tmp_|\.part$|\.new$|\.keep$|\.end$|incoming-|^exchange\.git/(?!taskrepo-packs\.lock).*\.lock$"
)


def kind(path: str) -> str:
    """What a file or folder is."""
    return next((name for pattern, name in _KINDS if pattern.fullmatch(path)), "data folder")


def promise(path: str) -> str:
    """The class of promises that rest on it; empty for none."""
    return "" if _FREE.fullmatch(path) else _PROMISES.get(kind(path), "")


def is_temporary(path: str) -> bool:
    """Whether it has the name of something under way, which nobody should find once all are at rest."""
    return bool(_TEMPORARY.search(path))
