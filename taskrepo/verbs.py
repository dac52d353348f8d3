"""Every command of the command line, as data: its words, its arguments, and which function carries it out.

* `handler` is `module:function` in this package, imported only when the command is given, so that help comes at once.
* A task command is called with (arguments, desk), any other with (arguments, terminal).
* Each command says in one line what it does, and shows one example.

>>> VERBS["claim"].handler
'remote:claim'
"""

from argparse import SUPPRESS, BooleanOptionalAction
from dataclasses import replace
from typing import Final

from taskrepo.hookverbs import WEBHOOK_VERBS
from taskrepo.operatorverbs import OPERATOR_VERBS
from taskrepo.verb import Argument, Verb
from taskrepo.verb import arg as _arg

_ID: Final = _arg("id", metavar="ID", help="the task's id, or the first characters of it (four or more)")
_EXECUTION: Final = _arg("--execution", type=int, metavar="N", help="your execution (default: the current one)")
_FILES: Final = _arg("--file", action="append", metavar="FILE", help="attach a file; may be repeated")
_ONCE: Final = (
    _arg("--if-match", metavar="COMMIT", help="only if this commit is still the task's latest"),
    _arg("--idempotency-key", metavar="KEY", help="give the same key again to repeat a request safely"),
)
_FORCE: Final = _arg("--force", action="store_true", help="replace files that are there with other content")


def _said(field: str, what: str, *, required: bool = True) -> Argument:
    text = f"{what} (- reads standard input)"
    return _arg("-m", "--message", f"--{field}", dest=field, metavar="TEXT", required=required, help=text)


_TEXT: Final = (
    _arg("words", nargs="?", metavar="TEXT", help="what you say (- reads standard input)"),
    _arg("-m", "--message", dest="text", metavar="TEXT", help="the same, as an option"),
)


_FILES_OF_A_COMMIT: Final = (
    _arg("--file", action="append", metavar="FILE", help="attach a file; submit: below artifacts/; may be repeated"),
    _arg("--log", action="append", metavar="FILE", help="submit: goes below logs/; may be repeated"),
    _arg("--result", metavar="FILE", help="submit: becomes result.json"),
    _arg("--from", dest="folder", metavar="FOLDER", help="submit: a folder with summary.md, artifacts/ …; "
                                                         "revise: a package or a manifest"),
    _arg("--drop", action="append", metavar="PATH", help="revise: remove a file of the package; may be repeated"),
)

_READ: Final = "Look around"
_PUBLISH: Final = "Publish work"
_WORK: Final = "Do work"
_JUDGE: Final = "Judge and close"
_SIGN: Final = "Sign with your own key"
_GIT: Final = "Work in a clone, with git"
_AUDIT: Final = "Audit (in any clone)"

_TASK_VERBS: Final = (
    Verb("list", _READ, "list and search tasks", "taskrepo list --state published -q gold", "remote:listing", (
        _arg("-q", metavar="QUERY", help='words, "phrases", state: label: due:<2026-12-01 …'),
        _arg("--state", metavar="STATE", help="one or several, separated by commas (default: all but archived)"),
        _arg("--all", action="store_true", help="of every state, archived too"),
        _arg("--mine", action="store_true", help="held or done by you (the same as --assignee me)"),
        _arg("--publisher", metavar="ACTOR", help="published by (me: by you)"),
        _arg("--assignee", metavar="ACTOR", help="held or done by (me: by you)"),
        _arg("--reviewer", metavar="ACTOR", help="to be reviewed by (me: by you)"),
        _arg("--label", metavar="LABEL", help="that have this label"),
        _arg("--priority", type=int, metavar="N", help="1 (most urgent) to 5"),
        _arg("--sort", metavar="ORDER", help="-updated updated -created created priority due title relevance"),
        _arg("--limit", type=int, metavar="N", help="how many, at most 200"),
        _arg("--cursor", metavar="CURSOR", help="continue where the last page ended"),
    )),
    Verb("show", _READ, "show everything about a task", "taskrepo show 4k7q2m9x", "remote:show", (_ID,)),
    Verb("events", _READ, "show a task's history, or what happens everywhere",
         "taskrepo events --follow --filter 'event:submitted reviewer:me'", "following:events", (
        _arg("id", nargs="?", metavar="ID", help="the task's id, or the first characters of it (default: all tasks)"),
        _arg("--follow", action="store_true", help="show each event as it happens, until Ctrl-C; --json: a line each"),
        _arg("--filter", metavar="LINE", help="only these: event: actor: task: publisher: label: … as in the example"),
        _arg("--after", metavar="COMMIT", help="begin after this event (default: the latest ones; --follow: from now)"),
        _arg("--count", type=int, metavar="N", help="how many events (default: 100; --follow: no end)"),
    )),
    Verb("files", _READ, "list a task's files", "taskrepo files 4k7q", "remote:files", (_ID,)),
    Verb("download", _READ, "download a task's files into a folder", "taskrepo download 4k7q input -o work",
         "retrieval:download", (
        _ID,
        _arg("path", nargs="?", metavar="PATH", help="one file or folder of the task (default: all)"),
        _arg("-o", "--output", "--to", metavar="FOLDER", help="where to (default: a folder named as the task)"),
        _arg("--submission", type=int, metavar="N", help="only this submission, as `submit` takes it"),
        _arg("--version", type=int, metavar="N", help="only this version of the package, as `new` takes it"),
        _arg("--archive", metavar="FILE", help="one FILE.zip or FILE.tar.gz instead (- writes a tar.gz to the output)"),
        _FORCE,
    ), notes="""\
An archive holds the package as it is now, or what --submission or --version names; `taskrepo new`
takes that of a package as it is."""),
    Verb("versions", _READ, "list the versions of a task's package", "taskrepo versions 4k7q", "retrieval:versions",
         (_ID,)),
    Verb("diff", _READ, "show what changed between two versions", "taskrepo diff 4k7q 1 2", "retrieval:diff", (
        _ID,
        _arg("old", type=int, metavar="A", help="the older version's number"),
        _arg("new", nargs="?", type=int, metavar="B", help="the newer one's (default: the current version)"),
    )),
    Verb("queue", _READ, "show what waits for you, best first", "taskrepo queue", "remote:queue"),
    Verb("reminders", _READ, "show what you are to be reminded of", "taskrepo reminders", "remote:reminders", (
        _arg("--sent", action="store_true", help="and acknowledge it: it is not shown again"),
    ), notes="""\
Tasks that you published, hold or are to review, whose reminder_at or due date has passed; each is shown
until it is acknowledged."""),
    Verb("me", _READ, "show who you are to the exchange", "taskrepo me", "remote:me"),
    Verb("why", _READ, "say why you can or cannot claim a task", "taskrepo why 4k7q", "remote:why", (_ID,)),
    Verb("new", _PUBLISH, "create a task from a package", "taskrepo new data/examples/planets", "packing:new", (
        _arg("package", metavar="PACKAGE", help="a folder with manifest.yaml, input/ …, a .zip or .tar.gz of one, "
                                                "or a manifest alone"),
        _arg("--draft", action="store_true", help="do not publish it yet"),
        _ONCE[1],
    ), notes="""\
A manifest with `visibility: private` makes a private task: encrypted in the ledger, and unknown to
everybody but its publisher, reviewer and executors, the actors it names in `readers: [bob, carol]`,
and admins. Whether a task is private cannot be changed later; its readers can, with `revise`.
One with `blocked_by: [4k7q2m9x]` can be claimed once those tasks are approved."""),
    Verb("pack", _PUBLISH, "make an archive of a package without sending it",
         "taskrepo pack data/examples/planets --to planets.zip", "packing:pack", (
        _arg("package", metavar="FOLDER", help="a folder with manifest.yaml, input/ …"),
        _arg("--to", required=True, metavar="FILE", help="the FILE.zip or FILE.tar.gz to make"),
        _FORCE,
    ), kind="plain"),
    Verb("revise", _PUBLISH, "change the package of a task nobody holds", "taskrepo revise 4k7q manifest.yaml",
         "remote:revise", (
        _ID,
        _arg("package", nargs="?", metavar="PACKAGE", help="a folder or manifest as for new"),
        _arg("--drop", action="append", metavar="PATH", help="remove a file of the package; may be repeated"),
        *_ONCE,
    )),
    Verb("ingest", _PUBLISH, "make tasks of a mail, a chat or notes", "taskrepo ingest mail.json", "remote:ingest", (
        _arg("context", metavar="FILE", help="JSON: origin, source_name, source_url, source_context, and tasks, a list "
                                             "of manifests (- reads standard input)"),
    ), notes="""\
Sent again it makes nothing twice: a task is known by its external_id, and one without it by all that
it says. If one of them is malformed, none is made."""),
    Verb("publish", _PUBLISH, "offer a draft as work", "taskrepo publish 4k7q", "remote:command", (_ID, *_ONCE)),
    Verb("answer", _PUBLISH, "answer the executor's open question", 'taskrepo answer 4k7q "In euros."',
         "remote:command", (_ID, *_TEXT, _FILES, *_ONCE)),
    Verb("comment", _PUBLISH, "say something to everybody who reads the task", 'taskrepo comment 4k7q "Thanks!"',
         "remote:command", (_ID, *_TEXT, _FILES, *_ONCE)),
    Verb("claim", _WORK, "take a task", "taskrepo claim --next", "remote:claim", (
        _arg("id", nargs="?", metavar="ID", help="the task's id, or the first characters of it"),
        _arg("--next", action="store_true", help="the best one you are eligible for"),
        *_ONCE,
    )),
    Verb("start", _WORK, "begin the work", "taskrepo start 4k7q", "remote:command", (_ID, _EXECUTION, *_ONCE)),
    Verb("progress", _WORK, "say how far you are; renews the lease", 'taskrepo progress 4k7q 60 -m "parser done"',
         "remote:command", (
        _ID,
        _arg("percent", nargs="?", type=int, metavar="PERCENT", help="0 to 100"),
        _said("note", "a note of one line", required=False),
        _FILES, _EXECUTION, *_ONCE,
    )),
    Verb("ask", _WORK, "ask a question; the lease stands still meanwhile", 'taskrepo ask 4k7q "Which currency?"',
         "remote:command", (_ID, *_TEXT, _FILES, _EXECUTION, *_ONCE)),
    Verb("submit", _WORK, "deliver the work", "taskrepo submit 4k7q submission/", "remote:submit", (
        _ID,
        _arg("folder", nargs="?", metavar="FOLDER", help="with summary.md, result.json, artifacts/, logs/"),
        _arg("--summary", metavar="TEXT", help="what you did (- reads standard input)"),
        _arg("--result", metavar="FILE", help="becomes result.json"),
        _arg("--artifact", action="append", metavar="FILE", help="goes below artifacts/; may be repeated"),
        _arg("--log", action="append", metavar="FILE", help="goes below logs/; may be repeated"),
        _EXECUTION, *_ONCE,
    )),
    Verb("rework", _WORK, "take up work that was rejected", "taskrepo rework 4k7q", "remote:command",
         (_ID, _EXECUTION, *_ONCE)),
    Verb("release", _WORK, "give the task back", 'taskrepo release 4k7q -m "no time"', "remote:command",
         (_ID, _said("reason", "why"), _EXECUTION, *_ONCE)),
    Verb("fail", _WORK, "say that it cannot be done", 'taskrepo fail 4k7q -m "the input is empty" --fault task',
         "remote:command", (
        _ID,
        _said("reason", "why"),
        _arg("--fault", choices=("task", "executor"), help="what is at fault (default: executor)"),
        _EXECUTION, *_ONCE,
    )),
    Verb("work", _WORK, "claim and do work with a program, again and again", "taskrepo work --jobs 4 -- ./solve.sh",
         "worker:work", (
        _arg("--once", action="store_true", help="one task, then stop"),
        _arg("--jobs", type=int, default=1, metavar="N", help="how many tasks at a time (default: 1)"),
        _arg("--label", action="append", default=[], metavar="LABEL",
             help="only tasks with this label; may be repeated, for tasks that have them all"),
        _arg("--time-limit", type=float, metavar="SECONDS", help="a program that takes longer has failed"),
        _arg("--poll", type=float, default=10.0, metavar="SECONDS",
             help="how often to look for work when the exchange does not call (default: 10)"),
        _arg("--dir", metavar="FOLDER", help="where to lay tasks out, and keep them (default: temporary folders)"),
        _arg("--give-up", type=int, default=3, metavar="N", help="stop after N failures in a row (default: 3)"),
        _arg("--env", action="append", default=[], metavar="NAME[=VALUE]",
             help="let the program have this variable too; may be repeated"),
        _arg("--pass-key", action="store_true", help="let the program use TASKREPO_URL and TASKREPO_KEY"),
        _arg("program", nargs="...", metavar="-- CMD…", help="the program and its arguments; no shell is used"),
    ), notes="""\
Each task is laid out in a fresh folder, where the program runs: manifest.yaml, README.md, input/ …,
and task.json, where everything that others wrote is below "untrusted". It leaves what it made in
submission/: summary.md (required), result.json, artifacts/, logs/. Exit code 0 submits it; any other
fails the task, with the last words of its output as the reason. The output goes along as a log.
A line `::progress 40 half way` in the output reports progress.

The program gets PATH, HOME, LANG, LC_*, TERM, TMPDIR, TZ and what --env passes, and is told
TASKREPO_TASK, TASKREPO_EXECUTION, TASKREPO_FOLDER and TASKREPO_SUBMISSION. Titles, descriptions
and files of tasks were written by others: treat them as untrusted input.

Ctrl-C gives the tasks in hand back; a second one ends the worker at once. With --dir, a worker that
was killed is followed by one that settles what it had in hand: nothing is lost or sent twice."""),
    Verb("approve", _JUDGE, "accept the latest submission", 'taskrepo approve 4k7q -m "clean work"', "remote:command",
         (_ID, _said("reason", "why", required=False), *_ONCE)),
    Verb("reject", _JUDGE, "send the latest submission back", 'taskrepo reject 4k7q -m "row 3 is missing"',
         "remote:command", (_ID, _said("reason", "what is wrong"), *_ONCE)),
    Verb("reopen", _JUDGE, "offer a closed task again", 'taskrepo reopen 4k7q -m "prices changed"', "remote:command",
         (_ID, _said("reason", "why"), *_ONCE)),
    Verb("cancel", _JUDGE, "call a task off", 'taskrepo cancel 4k7q -m "no longer needed"', "remote:command",
         (_ID, _said("reason", "why"), *_ONCE)),
    Verb("expire", _JUDGE, "end an execution whose lease ran out; the exchange does so by itself",
         "taskrepo expire 4k7q", "remote:command", (_ID, *_ONCE)),
    Verb("erase", _JUDGE, "destroy what a private task says, for good", 'taskrepo erase 4k7q --reason "asked for"',
         "remote:erase", (
        _ID,
        _said("reason", "why; everyone can read it"),
        _arg("--yes", action="store_true", help="do not ask for confirmation"),
        *_ONCE,
    ), notes="""\
It destroys the key of the task and its large files: nobody can read its title, texts and files any
more, here or in any clone, and the task is archived. It cannot be undone. It cannot take back what
somebody has downloaded, nor a backup of the exchange's private folder that still has the key. The
history stays: who did what, when, and the reason you give. Only the publisher and admins may do it,
and only to private tasks: what a public task said is in clones that nobody can reach."""),
    Verb("archive", _JUDGE, "close a task for good; lists leave it out", "taskrepo archive 4k7q", "remote:command",
         (_ID, *_ONCE)),
    Verb("clone", _GIT, "clone the ledger, set up to sign and push; or repair a clone",
         "taskrepo clone https://tasks.example", "cloning:clone", (
        _arg("address", metavar="URL", help="the exchange's address"),
        _arg("folder", nargs="?", metavar="FOLDER", help="where to (default: exchange)"),
        _arg("--signing-key", metavar="FILE", help="the SSH key to sign with, yours or an agent's (FILE.pub); "
                                                   "default: the clone's own, else a new one"),
        _arg("--no-key-file", action="store_true", help="keep no API key in the clone: git takes it from TASKREPO_KEY"),
        _arg("--key", default=SUPPRESS, metavar="KEY", help="your API key (default: TASKREPO_KEY, which is safer)"),
    ), kind="clone", notes="""\
It needs your API key (TASKREPO_KEY, or it asks). It registers the SSH key as yours, and sets in the
clone's own configuration who you are, how you sign, where `git push` goes, how git finds the API key
(in a file that only you can read, or in TASKREPO_KEY), and Git LFS if git-lfs is installed. Run it
again on a clone to set it right: nothing you have done there is lost."""),
    Verb("do", _GIT, "ask for a command by a signed commit, pushed from a clone", "taskrepo do claim 4k7q",
         "gitverbs:do", (
        _arg("name", metavar="COMMAND", help="claim, progress, submit, approve … as the exchange knows them"),
        _arg("id", metavar="ID", help="the task's id, or the first characters of it; for create, a package's folder"),
        _arg("words", nargs="*", metavar="WORDS", help="what you say; for progress first how far you are, like 60%%"),
        _arg("-m", "--message", metavar="TEXT", help="what you say, if it is longer"),
        *_FILES_OF_A_COMMIT,
        _arg("--draft", action="store_true", help="create: do not publish it yet"),
        _arg("--fault", choices=("task", "executor"), help="fail: what is at fault"),
        _arg("--push", action=BooleanOptionalAction, default=True,
             help="push it; else the commit stays on your branch for the next push"),
        _arg("--dry-run", action="store_true", help="have it judged, and write nothing"),
        _arg("--show", action="store_true", help="do nothing; show the lines that do the same with git alone"),
        _arg("-C", dest="clone", default=".", metavar="CLONE", help="the clone (default: the one you are in)"),
    ), kind="clone", notes="""\
Your own key signs: git asks for it, or your agent does. If the exchange refuses, your clone is as it
was before. What decides about something you saw (approve, reject, answer, revise) is about what your
clone shows: run `git pull` and look, if the exchange says that it has changed."""),
)  # fmt: skip

_OF: Final = _arg("--of", dest="owner", metavar="ACTOR", help="whose key it is (default: yours; admins change others')")
_KEY: Final = _arg("which", metavar="KEY", help="its fingerprint or the beginning of it, or its name")
_KEY_VERBS: Final = (
    Verb("ssh-key add", _SIGN, "register an SSH public key that you sign with",
         "taskrepo ssh-key add ~/.ssh/id_ed25519.pub --name laptop", "keyring:add", (
        _arg("file", metavar="FILE.pub", help="the public key (- reads standard input)"),
        _arg("--name", metavar="TEXT", help="what you call it (default: the comment in the file, or the file's name)"),
        _OF,
    ), notes="""\
To make a key: ssh-keygen -t ed25519
It asks where to put it and for a passphrase; the public key is the file that ends in .pub. RSA,
ECDSA and keys in a security key (-t ed25519-sk) will do as well. The ledger records the public key as
yours, and commits that you sign with it and push count as your own from then on. A key belongs to one
actor for ever: one that was retired or revoked cannot be registered again, by anybody."""),
    Verb("ssh-key list", _SIGN, "list your SSH keys, or those of others", "taskrepo ssh-key list", "keyring:listing",
         (_arg("owner", nargs="?", metavar="ACTOR", help="whose (default: yours)"),)),
    Verb("ssh-key rename", _SIGN, "give an SSH key another name", 'taskrepo ssh-key rename laptop "old laptop"',
         "keyring:rename", (_KEY, _arg("name", metavar="NAME", help="what you call it from now on"), _OF)),
    Verb("ssh-key retire", _SIGN, "end an SSH key; what it signed stays good", "taskrepo ssh-key retire laptop",
         "keyring:retire", (_KEY, _OF)),
    Verb("ssh-key revoke", _SIGN, "end an SSH key that may be in other hands",
         "taskrepo ssh-key revoke laptop --since 2026-11-03", "keyring:revoke", (
        _KEY,
        _arg("--since", metavar="WHEN", help="from when not to trust it: a day, a time (UTC) or a commit of the ledger "
                                             "(default: since it was added, so that nothing it signed is trusted)"),
        _OF,
    ), notes="""\
The key no longer counts from the next commit on. What it signed stays in the ledger and verifies as
before, but what came there at or after WHEN is shown to everybody as made with a suspect key, and
stock git says so too by the ledger's allowed_signers. It cannot be taken back; the moment can only be
moved to an earlier one. A retired key can be revoked as well."""),
)  # fmt: skip

_REPOSITORY: Final = _arg(
    "repository", nargs="?", metavar="REPOSITORY", help="a clone, bare or not (default: the one you are in)"
)

_EXCHANGE_VERBS: Final = (
    Verb("verify", _AUDIT, "judge the history by the rules, and notice if it was rewritten", "taskrepo verify",
         "proof:verify", (
        _REPOSITORY,
        _arg("--all", action="store_true", help="from the first commit, not just what is new"),
        _arg("--key", dest="founding_key", metavar="FINGERPRINT",
             help="the key the exchange was founded with, as you know it from elsewhere: SHA256:…"),
        _arg("--accept", action="store_true", help="remember this history in place of the one it replaced"),
    ), notes="""\
It decides every step again by the rules and checks every signature, without any server, and tells
who signed what. What it found is remembered in the repository's git folder, so the next time only
what is new is judged. If what it remembers is no longer part of the history, that is a failure of
its own, rewritten-history, and stays one until you --accept the new history.
In a clone the history is origin/main, as last fetched. Without a clone around it and with an
exchange's data folder (--data, TASKREPO_DATA) it is the exchange's own."""),
    Verb("export", _AUDIT, "write the whole history as a table, one record for each commit",
         "taskrepo export --format csv -o history.csv", "export:export", (
        _REPOSITORY,
        _arg("--format", choices=("jsonl", "csv"), help="JSON lines (the default) or CSV"),
        _arg("-o", "--output", metavar="FILE", help="where to (default: standard output)"),
        _arg("--since", metavar="COMMIT", help="only what came after this commit"),
        _FORCE,
        _arg("--check", metavar="FILE", help="instead: compare a file that was exported with this history"),
    ), notes="""\
A record has what the commit says and what its signatures are worth: good, or why they do not count.
It is the same in every clone, so whoever has the file and a clone can --check it. In CSV a ' stands
before what a spreadsheet would take for a formula."""),
)  # fmt: skip

_SERVERS_VERBS: Final = tuple(replace(each, kind="exchange") for each in (*_EXCHANGE_VERBS, *OPERATOR_VERBS))
VERBS: Final = {verb.name: verb for verb in (*_TASK_VERBS, *WEBHOOK_VERBS, *_KEY_VERBS, *_SERVERS_VERBS)}
"""All commands by name, in the order of the help."""
