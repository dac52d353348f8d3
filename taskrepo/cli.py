"""The command line: reads arguments, calls one function, and turns what comes of it into words and an exit code.

* Exit codes: 0 done, 1 a rule said no, 2 malformed (arguments, files, values), 3 the server cannot be reached,
  4 a fault of taskrepo itself.
* With `--json` the answer, or the problem (RFC 9457), is one JSON value on standard output; else what went wrong is
  one sentence on standard error.
* Nothing heavy is imported before the arguments are understood.

>>> main(["frobnicate"])                                                                # doctest: +SKIP
taskrepo: usage: 'frobnicate' is not a command; `taskrepo --help` lists them
2
"""

import errno
import os
import sys
from argparse import SUPPRESS, Action, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from itertools import groupby
from typing import Any, Final, NoReturn

from taskrepo.errors import REFUSALS, Invalid, TaskrepoError
from taskrepo.terminal import Answer, Terminal, problem
from taskrepo.verbs import VERBS, Verb

OK: Final = 0
REFUSED: Final = 1
MALFORMED: Final = 2
UNREACHABLE: Final = 3
FAULT: Final = 4
INTERRUPTED: Final = 130
# What the machine refuses, not what taskrepo did wrong.
_SURROUNDINGS: Final = frozenset({errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EROFS, errno.ENOSPC})
_CODES: Final = {"unreachable": UNREACHABLE, "internal": FAULT}
_ENVIRONMENT: Final = """\
Environment:
  TASKREPO_URL, TASKREPO_KEY   the server and your API key, for commands about tasks
  TASKREPO_DATA                the exchange's data folder, for commands on its own machine
  NO_COLOR                     no colours

With --data FOLDER --as ACTOR, commands about tasks work on a data folder directly, without a server.
`taskrepo COMMAND --help` shows a command's arguments."""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Asked before they are understood, so that a problem with them is told in JSON too.
    terminal = Terminal(json="--json" in (arguments[: arguments.index("--")] if "--" in arguments else arguments))
    try:
        return _answered(arguments, terminal)
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not complain of it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED


def _answered(arguments: Sequence[str], terminal: Terminal) -> int:
    try:
        answer = _carry_out(parse(arguments), terminal)
        terminal.show(answer)
        return answer.code
    except TaskrepoError as error:
        return _report(error, terminal)
    except SystemExit as done:  # argparse has shown help or the version
        return int(done.code or 0)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _SURROUNDINGS and error.filename:
            return _report(Invalid("unusable-file", str(error.filename), str(error.strerror)), terminal)
        return _report_fault(error, terminal)


def parse(arguments: Sequence[str]) -> Namespace:
    """The arguments as a namespace with `verb`, the name of the command. Raises `Invalid("usage")`."""
    if not arguments:
        arguments = ["--help"]
    args = _parser().parse_args(arguments)
    if args.verb is None:
        raise Invalid("usage", "", "which command? `taskrepo --help` lists them")
    return args


def _carry_out(args: Namespace, terminal: Terminal) -> Answer:
    verb = VERBS[args.verb]
    module, _, function = verb.handler.partition(":")
    handler = getattr(import_module(f"taskrepo.{module}"), function)
    if verb.kind != "task":
        return handler(args, terminal)  # type: ignore[no-any-return]
    with _desk(args, terminal) as desk:
        if module in ("worker", "following"):
            return handler(args, desk, terminal)  # type: ignore[no-any-return]
        return handler(args, desk)  # type: ignore[no-any-return]


@contextmanager
def _desk(args: Namespace, terminal: Terminal) -> Iterator[Any]:
    """The desk that the arguments and the environment name."""
    actor, data = getattr(args, "actor_id", None), getattr(args, "data", None)
    if actor or data:
        if not actor:
            raise Invalid("no-actor", "--as", "is missing: with --data, say who you are with --as ACTOR")
        from taskrepo.config import Config, find_data
        from taskrepo.offline import open_desk

        with open_desk(Config(find_data(data)), actor) as local:
            yield local
        return
    url = _setting(args, "url", "TASKREPO_URL", "the server's address, like https://tasks.example")
    key = _setting(args, "key", "TASKREPO_KEY", "your API key; `taskrepo key add ACTOR` makes one on the server")
    from taskrepo.client import Client

    with Client(url, key, progress=terminal.progress) as client:
        yield client


def _setting(args: Namespace, name: str, variable: str, what: str) -> str:
    value: str | None = getattr(args, name, None) or os.environ.get(variable)
    if not value:
        message = f"is not set: {what}. Or work without a server: --data FOLDER --as ACTOR"
        raise Invalid(f"no-{name}", f"{variable} (or --{name})", message)
    return value


# ── what went wrong ─────────────────────────────────────────────────────────────────────────────────────────────────


def _report(error: TaskrepoError, terminal: Terminal) -> int:
    code = _CODES.get(error.code, MALFORMED if isinstance(error, Invalid) else REFUSED)
    if terminal.json:
        terminal.show(Answer(problem_of(error)))
    else:
        terminal.say(f"taskrepo: {error.code}: {_sentence(error)}")
    return code


def _sentence(error: TaskrepoError) -> str:
    """The message; if what it lists are several things, each on a line of its own."""
    listed = error.details.get("missing") or error.details.get("faults")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    lines = [f"  {entry.get('path')}: {entry.get('problem') or entry.get('message')}" for entry in entries]
    return "\n".join([f"{error.message.partition(': ')[0]}:", *lines]) if len(lines) > 1 else error.message


def problem_of(error: TaskrepoError) -> dict[str, Any]:
    """The error as an RFC 9457 problem, with the status the HTTP API gives it."""
    details = {**error.details, **({"where": error.where} if isinstance(error, Invalid) else {})}
    title = REFUSALS.get(error.code, error.code.replace("-", " "))
    return problem(error.code, error.message, _status(error, details.get("status")), title, details)


def _status(error: TaskrepoError, told: object) -> int:
    if isinstance(told, int):
        return told
    if error.code == "unreachable":
        return 503
    from taskrepo.web.edge import status_of

    return status_of(error)


def _report_fault(error: Exception, terminal: Terminal) -> int:
    """A bug: what it was, for whoever reports it; the traceback only if asked for."""
    if os.environ.get("TASKREPO_DEBUG"):
        import traceback

        terminal.say("".join(traceback.format_exception(error)))
    detail = f"{type(error).__name__}: {error}"[:300] + " (this is a fault of taskrepo; TASKREPO_DEBUG=1 shows where)"
    if terminal.json:
        terminal.show(Answer(problem("internal", detail, 500, REFUSALS["internal"])))
    else:
        terminal.say(f"taskrepo: internal: {detail}")
    return FAULT


# ── the tree of arguments ───────────────────────────────────────────────────────────────────────────────────────────


class _Parser(ArgumentParser):
    """Raises instead of writing and exiting, and knows what was meant."""

    def error(self, message: str) -> NoReturn:
        """Raises `Invalid("usage")`."""
        raise Invalid("usage", "", f"{message}; `{self.prog} --help` shows how it is used")

    def _check_value(self, action: Any, value: Any) -> None:
        if action.dest in ("verb", "word") and value not in action.choices:
            near = get_close_matches(str(value), action.choices, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"`{self.prog} --help` lists them"
            raise Invalid("usage", "", f"{value!r} is not a command; {hint}")
        super()._check_value(action, value)


class _Root(_Parser):
    """Its help groups the commands."""

    def format_help(self) -> str:
        """All commands, by group."""
        lines = ["usage: taskrepo COMMAND [ARGUMENTS]\n\nA task exchange that you can clone.\n"]
        for group, verbs in groupby(VERBS.values(), key=lambda verb: verb.group):
            lines += [f"\n{group}:\n", *(f"  {verb.name:<16}{verb.help}\n" for verb in verbs)]
        return "".join(lines) + f"\n{_ENVIRONMENT}\n"


class _Version(Action):
    def __call__(self, parser: ArgumentParser, namespace: Namespace, values: Any, option: str | None = None) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"taskrepo {version('taskrepo')}\n")
        parser.exit()


def _parser() -> ArgumentParser:
    common = _common()
    root = _Root(prog="taskrepo", parents=[common["plain"]], allow_abbrev=False)
    root.add_argument("--version", action=_Version, nargs=0, help="show the version")
    words = root.add_subparsers(dest="verb", metavar="COMMAND", parser_class=_Parser)
    families: dict[str, Any] = {}
    for verb in VERBS.values():
        first, _, second = verb.name.partition(" ")
        if second and first not in families:
            families[first] = _family(words, first)
        _add(families[first] if second else words, second or first, verb, common[verb.kind])
    return root


# What is said of the options about a data folder: with commands about tasks, and with those on an exchange's machine.
_DATA: Final = (
    "work on this data folder, without a server (default: TASKREPO_DATA, else data/exchange)",
    "the exchange's data folder (default: TASKREPO_DATA, else data/exchange)",
)
_AS: Final = ("who you are, when working on a data folder", "which admin you are (default: the only one)")


def _common() -> dict[str, ArgumentParser]:
    """The options that many commands share; they may also stand before the command."""
    plain, exchange, task, clone = (ArgumentParser(add_help=False, argument_default=SUPPRESS) for _ in range(4))
    for parser in (plain, exchange, task, clone):
        parser.add_argument("--json", action="store_true", help="answer in JSON")
    for parser in (plain, exchange, task):
        parser.add_argument("--data", metavar="FOLDER", help=_DATA[parser is exchange])
        parser.add_argument("--as", dest="actor_id", metavar="ACTOR", help=_AS[parser is exchange])
    for parser in (plain, task):
        parser.add_argument("--url", metavar="URL", help="the server (default: TASKREPO_URL)")
        parser.add_argument("--key", metavar="KEY", help="your API key (default: TASKREPO_KEY, which is safer)")
    return {"plain": plain, "exchange": exchange, "task": task, "clone": clone}


def _family(words: Any, first: str) -> Any:
    """The parser of commands of two words, like `actor add`."""
    members = [verb for verb in VERBS.values() if verb.name.startswith(f"{first} ")]
    lines = "\n".join(f"  {verb.name:<16}{verb.help}" for verb in members)
    parser = words.add_parser(first, description=lines, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False)
    return parser.add_subparsers(dest="word", metavar="COMMAND", required=True, parser_class=_Parser)


def _add(words: Any, word: str, verb: Verb, common: ArgumentParser) -> None:
    parser = words.add_parser(
        word,
        parents=[common],
        description=f"{verb.help[0].upper()}{verb.help[1:]}.",
        epilog="\n\n".join(filter(None, (verb.notes, f"example: {verb.example}"))),
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for names, settings in verb.arguments:
        parser.add_argument(*names, **settings)
    parser.set_defaults(verb=verb.name)


