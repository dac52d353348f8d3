"""The shape of the code, as the design fixes it: who imports whom, who may name what, and how it is written."""

import ast
import doctest
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.support.cases import each

ROOT: Final = Path(__file__).parents[2]
FOLDERS: Final = {"taskrepo": "taskrepo", "web": "taskrepo.web", "hooks": "taskrepo.hooks", "schema": "taskrepo.schema"}

PURE: Final = frozenset(
    ("errors", "model", "commands", "events", "policy", "patterns", "matching", "roles", "evolution", "inference",
     "measures", "dependencies", "lifecycle", "personal", "personal_steps", "directory", "identity", "alignment",
     "premises", "rates", "addresses", "rows")
)
BYTES: Final = frozenset(
    ("schema", "documents", "plain", "guard", "query", "history", "package", "roster", "signing", "parse", "trees",
     "sealing", "envelope", "formats", "evaluator", "results", "highlight", "charsets", "structure", "attestation",
     "signed_request", "recent", "tally", "destinations", "dispatch", "eventfilter", "bitmasks", "rewording",
     "vocabulary", "canonical", "merging", "cards")
)
IO_GROUPS: Final = (
    frozenset({"store", "packs", "rollup", "clones", "settings", "branchlock"}),
    frozenset({"turnlock"}),
    frozenset({"index", "listing", "relevance", "segments", "mapped", "postings", "suggesting", "joining", "cursors",
               "blocks", "leaves", "filling"}),
    frozenset({"files", "archives", "inspection", "containers", "zips", "uploads"}),
    frozenset(
        ("accounts", "credentials", "credentials_db", "usage", "tables", "preferences", "reminded", "lfs_locks",
         "personal_kept", "subscriptions")
    ),
    frozenset({"heartbeats"}),
    frozenset({"clock"}),
    frozenset({"vault", "masters"}),
    frozenset({"config"}),
    frozenset({"folders"}),
    frozenset({"gauge"}),
    frozenset({"depot", "intake"}),
    frozenset({"aside"}),
    frozenset({"outbound"}),
    frozenset({"durable", "spares", "beside"}),  # fsync, rename and processes of our own: every group may rest on them
)
IO: Final = frozenset().union(*IO_GROUPS)
CORE: Final = frozenset(
    ("ledger", "feed", "interpreter", "writer", "keeping", "indexing", "follower", "recalling", "exchange",
     "rebuilding", "indexer", "founding", "verify", "housekeeping",
     "statistics", "worklist", "candidates", "fulltext", "largefiles", "lobby", "claiming", "shelves",
     "view", "privacy", "judge", "retention", "quota", "editions", "attempts", "bundles", "news", "trends", "attention",
     "checkup", "upkeep", "amendments", "chronicle", "pastboard", "auditor", "revocation",
     "notary", "requests", "pushes", "replies", "reception", "doorbell", "audit", "memory", "lineage", "records",
     "trail", "requested", "reminders", "holdings", "leases", "courier", "ingest", "personal_board", "personal_queue",
     "packview", "whereabouts", "backup", "restore", "soundness",
     "diagnosis", "objectmending", "mending", "readiness", "vitals")
)
# Everything of the package that is not listed is an edge (command line, client, …): nothing below imports it.
LAYERS: Final = ("pure", "bytes", "input/output", "core", "web", "edge")

# What touches the world. `PurePosixPath` is only arithmetic on text.
WORLD: Final = frozenset({
    "os", "pathlib", "time", "random", "secrets", "socket", "logging", "subprocess", "threading", "tempfile", "shutil",
    "sqlite3", "sys", "asyncio", "select", "signal", "urllib", "urllib3", "http", "pygit2", "whoosh", "cryptography",
    "filelock", "bottle", "paste", "multipart", "importlib",
})  # fmt: skip
MAY_TOUCH: Final = {
    ("guard", "pathlib.PurePosixPath"),
    ("schema", "importlib.resources.files"),  # its own documents
    ("signing", "pathlib.Path"),  # the exchange's own key file
    ("signing", "stat"),
    ("destinations", "urllib.parse.urlsplit"),  # only arithmetic on text
    ("sealing", "os.urandom"),  # keys, nonces and salts
    ("sealing", "cryptography.exceptions.InvalidTag"),
    ("sealing", "cryptography.hazmat.primitives.ciphers.aead.AESGCM"),
    ("sealing", "cryptography.hazmat.primitives.hashes.SHA256"),
    ("sealing", "cryptography.hazmat.primitives.kdf.hkdf.HKDF"),
}
ALONE: Final = {
    "pygit2": {"store"},
    "whoosh": {"segments", "mapped", "postings", "blocks", "leaves"},
    "cryptography": {"signing", "sealing"},
    "sqlite3": {"accounts", "credentials_db", "tables"},
}
VAGUE: Final = frozenset({"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc", "base"})
# Modules above the limit, with their size; the list only ever shrinks.
LONG: Final[dict[str, int]] = {}
MAX_MODULE: Final = 450
MAX_FUNCTION: Final = 45
# Where `web` still reaches past the exchange; the list only ever shrinks.
REACHES: Final[set[tuple[str, str]]] = set()


@cache
def _modules() -> dict[str, ast.Module]:
    """Short name (`lifecycle`, `web.edge`, `schema`) → syntax tree."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("*.py")):
            parts = [*([] if folder == "taskrepo" else [folder]), *([] if path.stem == "__init__" else [path.stem])]
            if parts:
                found[".".join(parts)] = ast.parse(path.read_text("utf-8"), str(path))
    return found


NAMES: Final = sorted(_modules())
WRITTEN: Final = [name for name in NAMES if name not in ("web", "hooks")]


def _full(name: str) -> str:
    return f"taskrepo.{name}"


def _imports(tree: ast.AST, package: str = "") -> Iterator[str]:
    """Every imported name, in full: `os.path`, `taskrepo.model.Task`. Type-checking imports count as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = f"taskrepo.{package}." if node.level else ""
            yield from (f"{base}{node.module or ''}".rstrip(".") + f".{alias.name}" for alias in node.names)


def _own_imports(name: str) -> set[str]:
    """The package's own modules that a module imports, by short name."""
    package = name.partition(".")[0] if "." in name else ""
    own = set()
    for imported in _imports(_modules()[name], package):
        parts = imported.removeprefix("taskrepo.").split(".") if imported.startswith("taskrepo.") else []
        own |= {short for n in (1, 2) if (short := ".".join(parts[:n])) in NAMES and len(parts) >= n}
    return own - {name, "web", "hooks"}


def _layer(name: str) -> int:
    if name.startswith(("web", "hooks")):
        return LAYERS.index("web")
    for layer, members in (("pure", PURE), ("bytes", BYTES), ("input/output", IO), ("core", CORE)):
        if name in members:
            return LAYERS.index(layer)
    return LAYERS.index("edge")


# ── who imports whom ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_layers_name_what_exists() -> None:
    """Every module the layers name is there."""
    assert set(NAMES) >= PURE | BYTES | CORE | IO


def test_imports_run_downwards() -> None:
    """No module imports from a layer above its own; `signing` keeps its key file by `durable`."""

    def holds(name: str) -> None:
        above = {other for other in _own_imports(name) if _layer(other) > _layer(name)}
        assert above <= ({"durable"} if name == "signing" else set()), f"{name} is {LAYERS[_layer(name)]}"

    each(NAMES, holds)


def test_imports_form_no_circle() -> None:
    """The modules can be put in an order in which each imports only earlier ones."""
    waiting = {name: _own_imports(name) for name in NAMES}
    while waiting:
        free = {name for name, needs in waiting.items() if not needs & waiting.keys()}
        assert free, f"a circle among {sorted(waiting)}"
        waiting = {name: needs for name, needs in waiting.items() if name not in free}


def test_input_and_output_stay_apart() -> None:
    """Modules of input and output do not import each other, but for their own kind and `durable spares beside`."""

    def holds(name: str) -> None:
        own = next(group for group in IO_GROUPS if name in group)
        assert _own_imports(name) & IO <= own | {"durable", "spares", "beside"}

    each(sorted(IO), holds)


def test_the_web_reaches_in_by_few_doors() -> None:
    """The web sees the pure modules, the exchange and what it answers with, not the store or the index."""

    def holds(name: str) -> None:
        inner = {"store", "packs", "index", "listing", "relevance", "segments", "mapped", "postings", "suggesting",
                 "joining", "cursors", "blocks", "leaves", "writer", "keeping", "indexing", "follower", "heartbeats",
                 "accounts"}  # fmt: skip
        assert {(name, other) for other in _own_imports(name) & inner} <= REACHES

    each([n for n in NAMES if n.startswith(("web.", "hooks"))], holds)


def test_doors_read_through_a_view() -> None:
    """No door names what lies beneath a view, which alone knows who may read what."""

    def holds(name: str) -> None:
        tree = _modules()[name]
        reached = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert reached & {"snapshot", "ledger", "store", "feed"} == set()
        imported = set(_imports(tree, name.partition(".")[0]))
        assert imported & {"taskrepo.ledger.Snapshot", "taskrepo.ledger.Ledger"} == set()

    each([n for n in NAMES if n.startswith("web.") or n in ("offline", "worklist", "statistics")], holds)


# ── who may name what ───────────────────────────────────────────────────────────────────────────────────────────────


def test_pure_modules_touch_nothing() -> None:
    """Rules, and the reading and writing of bytes, know no clock, disk, network, randomness or log."""

    def holds(name: str) -> None:
        touched = {i for i in _imports(_modules()[name]) if i.split(".")[0] in WORLD}
        allowed = {i for n, i in MAY_TOUCH if n == name}
        assert {i for i in touched - allowed if not (name == "signing" and i.startswith("cryptography."))} == set()
        for node in ast.walk(_modules()[name]):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                assert called not in {"now", "today", "utcnow", "input", "print", "exec", "eval", "__import__"}
                assert not (isinstance(node.func, ast.Name) and called == "open")

    each(sorted(PURE | BYTES), holds)


@pytest.mark.parametrize("library", sorted(ALONE))
def test_a_library_has_one_home(library: str) -> None:
    """The object store, the index and the keys are each named by one module."""
    users = {n for n in NAMES if any(i.split(".")[0] == library for i in _imports(_modules()[n]))}
    assert users <= ALONE[library]


def test_only_the_judges_decide() -> None:
    """Only the exchange, its founding, its judge and the verifier call a rule book's `decide`."""
    deciders = set()
    for name, tree in _modules().items():
        for node in ast.walk(tree):
            named = isinstance(node, ast.Attribute) and node.attr == "decide"
            imported = isinstance(node, ast.ImportFrom) and any(a.name == "decide" for a in node.names)
            if named or imported:
                deciders.add(name)
    assert deciders <= {"exchange", "founding", "judge", "verify"}


def test_names_say_something() -> None:
    """No module is called after nothing in particular."""

    def holds(name: str) -> None:
        assert not VAGUE & set(name.replace("_", ".").split("."))

    each(NAMES, holds)


# ── how it is written ───────────────────────────────────────────────────────────────────────────────────────────────


def test_modules_are_small() -> None:
    """A module is at most 450 lines, or is on the list that only shrinks."""

    def holds(name: str) -> None:
        tree = _modules()[name]
        last = max((node.end_lineno or 0 for node in tree.body), default=0)
        assert last <= LONG.get(name, MAX_MODULE)

    each(NAMES, holds)


def test_functions_are_small() -> None:
    """A function is at most 45 lines."""

    def holds(name: str) -> None:
        for node in ast.walk(_modules()[name]):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION, f"{name}.{node.name}"

    each(NAMES, holds)


def test_modules_state_their_invariants() -> None:
    """A module says what always holds, as a list, and shows one example."""

    def holds(name: str) -> None:
        told = ast.get_docstring(_modules()[name]) or ""
        assert "\n* " in told
        assert ">>> " in told

    each(WRITTEN, holds)


def test_public_names_are_explained() -> None:
    """Every public function, class and method has a docstring."""

    def holds(name: str) -> None:
        silent = [f"{name}.{node.name}" for node in _public(_modules()[name]) if not ast.get_docstring(node)]
        assert silent == []

    each(NAMES, holds)


def _public(node: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef | ast.ClassDef) and not inner.name.startswith("_"):
            if not _is_signature(inner):
                yield inner
            if isinstance(inner, ast.ClassDef):
                yield from _public(inner)


def _is_signature(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """A function with no body, as a protocol or an overload has it: the class's docstring speaks for it."""
    only = node.body[0]
    return len(node.body) == 1 and isinstance(only, ast.Expr) and getattr(only.value, "value", None) is ...


@pytest.mark.parametrize("name", sorted(PURE | BYTES | {"packs"}))
def test_examples_are_true(name: str) -> None:
    """The examples in the pure modules' docstrings give what they say."""
    failed, _ = doctest.testmod(importlib.import_module(_full(name)), optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert failed == 0
