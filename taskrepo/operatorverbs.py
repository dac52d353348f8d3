"""The commands of whoever runs an exchange, as data.

* Each is given on the exchange's own machine, about its data folder.
* Nobody else can give them: they need no key, but the folder.

>>> [verb.name for verb in OPERATOR_VERBS][:2]
['init', 'serve']
"""

from typing import Final

from taskrepo.verb import Verb
from taskrepo.verb import arg as _arg

_RUN: Final = "Run an exchange (on its own machine)"
_ACTOR: Final = _arg("actor", metavar="ACTOR", help="the actor's id")
_PROFILE: Final = (
    _arg("--reasoning-tier", choices=("low", "medium", "high")),
    _arg("--browser", choices=("none", "read_only", "interactive")),
    _arg("--compute", choices=("tiny", "small", "medium")),
    _arg("--skill", action="append", metavar="SKILL", help="may be repeated"),
    _arg("--max-claims", type=int, metavar="COUNT", help="hold at most so many tasks at once; 0: as the policy says"),
)
_NAME: Final = _arg("--name", metavar="TEXT", help="the name people see")

OPERATOR_VERBS: Final = (
    Verb("init", _RUN, "make a new exchange", "taskrepo init --data /srv/exchange", "administration:init", (
        _arg("--admin", default="admin", metavar="ID", help="the first admin's id (default: admin)"),
        _arg("--admin-name", default="Admin", metavar="TEXT", help="and name (default: Admin)"),
    )),
    Verb("serve", _RUN, "serve the exchange over HTTP", "taskrepo serve --port 8753", "serving:serve", (
        _arg("--host", metavar="HOST", help="the address to listen at (default: 127.0.0.1)"),
        _arg("--port", type=int, metavar="PORT", help="(default: 8753; 0 takes any free one)"),
        _arg("--server", default="paste", metavar="NAME", help="the WSGI server (default: paste)"),
        _arg("--workers", type=int, default=64, metavar="N", help="threads that answer (default: 64)"),
        _arg("--base-url", metavar="URL", help="where clients reach it, if through a proxy: https://tasks.example.org"),
        _arg("--webhooks-allow", action="append", metavar="NETWORK",
             help="let webhooks go there too, like 10.1.0.0/16; may be repeated (default: TASKREPO_WEBHOOKS_ALLOW, "
                  "separated by commas; else the public internet alone)"),
        _arg("--grace", type=float, default=10.0, metavar="SECONDS",
             help="how long what is under way may go on after SIGTERM or SIGINT; a second one ends it (default: 10)"),
        _arg("--trusted-proxy", action="append", metavar="NETWORK",
             help="believe X-Forwarded-For and X-Forwarded-Proto of a proxy there, like 127.0.0.1; may be repeated "
                  "(default: TASKREPO_TRUSTED_PROXIES, separated by commas; else nobody)"),
        _arg("--metrics-allow", action="append", metavar="NETWORK",
             help="let who asks from there read /metrics without a key; may be repeated (default: "
                  "TASKREPO_METRICS_ALLOW, separated by commas; else admins with a key alone)"),
        _arg("--log-format", choices=("text", "json"),
             help="how the log on standard error is written (default: TASKREPO_LOG, else text)"),
        _arg("--no-access-log", action="store_false", dest="access_log",
             help="log no line for each request (or TASKREPO_ACCESS_LOG=off)"),
        _arg("--rate", action="append", metavar="NAME=RATE",
             help="how often one may ask: reads, writes (of an actor), address (without a good key), failures (wrong "
                  "keys and passwords of an address); like writes=50/s+500 for 500 at once, or off; may be repeated "
                  "(default: TASKREPO_RATES, else reads=200/s+4000, writes=100/s+2000, address=50/s+2000, "
                  "failures=30/m+30)"),
    )),
    Verb("actor add", _RUN, "add an actor", "taskrepo actor add bob --type agent", "administration:add_actor", (
        _ACTOR,
        _arg("--type", required=True, choices=("human", "agent", "service")),
        _NAME, *_PROFILE,
        _arg("--admin", action="store_true", help="may change actors and the policy"),
        _arg("--no-key", action="store_true", help="make no API key"),
    )),
    Verb("actor list", _RUN, "list all actors", "taskrepo actor list", "administration:list_actors"),
    Verb("actor show", _RUN, "show an actor", "taskrepo actor show bob", "administration:show_actor", (_ACTOR,)),
    Verb("actor change", _RUN, "change an actor's name, profile or grants",
         "taskrepo actor change bob --compute medium",
         "administration:change_actor", (
        _ACTOR, _NAME, *_PROFILE,
        _arg("--no-skills", action="store_true", help="remove all skills"),
        _arg("--admin", action="store_true", default=None, help="grant admin"),
        _arg("--no-admin", action="store_false", dest="admin", default=None, help="take admin away"),
    )),
    Verb("actor suspend", _RUN, "suspend an actor: keys, sessions and password end", "taskrepo actor suspend bob",
         "administration:suspend_actor", (_ACTOR,)),
    Verb("actor restore", _RUN, "end a suspension", "taskrepo actor restore bob", "administration:restore_actor",
         (_ACTOR,)),
    Verb("actor link", _RUN, "make a sign-in link that works once, for 15 minutes", "taskrepo actor link alice",
         "administration:link_actor", (_ACTOR,)),
    Verb("actor password", _RUN, "set an actor's password", "taskrepo actor password alice",
         "administration:set_password",
         (_ACTOR, _arg("--stdin", action="store_true", help="read it from standard input"))),
    Verb("key add", _RUN, "make an API key; it is shown once", "taskrepo key add bob --name laptop",
         "administration:add_key", (_ACTOR, _arg("--name", default="key", metavar="TEXT", help="what it is for"))),
    Verb("key list", _RUN, "list everybody's API keys and SSH keys", "taskrepo key list bob",
         "administration:list_keys", (_arg("actor", nargs="?", metavar="ACTOR", help="only this actor's"),)),
    Verb("key revoke", _RUN, "end an API key", "taskrepo key revoke 4k7q2m9x", "administration:revoke_key",
         (_arg("key_id", metavar="KEY", help="the key's id, the part after tr_"),)),
    Verb("policy show", _RUN, "show the policy", "taskrepo policy show", "administration:show_policy"),
    Verb("policy set", _RUN, "change the policy", "taskrepo policy set lease_seconds=3600", "administration:set_policy",
         (_arg("settings", nargs="+", metavar="FIELD=VALUE", help="lists are separated by commas"),)),
    Verb("vault status", _RUN, "show how many keys of private tasks there are, and what they are wrapped by",
         "taskrepo vault status", "administration:vault_status"),
    Verb("vault rotate", _RUN, "wrap the keys of private tasks by a new master key",
         "taskrepo vault rotate", "administration:rotate_vault", notes="""\
The tasks' own keys stay, and nothing in the ledger changes: a new master key takes the place of the
one that wraps them, which is removed. It may be done while the exchange is being served; a rotation
that was cut short is finished by the next. A backup made before it opens with its own master only."""),
    Verb("backup", _RUN, "make a backup, while the exchange is served or not", "taskrepo backup /mnt/backup --keep 30",
         "safekeeping:backup", (
        _arg("target", metavar="TARGET", help="a folder for backups alone; with --check also TARGET@SNAPSHOT"),
        _arg("--keep", type=int, metavar="N", help="let all but the newest N backups go (default: keep all)"),
        _arg("--without-private", action="store_true", help="leave out keys, passwords and the signing key"),
        _arg("--private-to", metavar="FOLDER", help="put these into another folder for backups instead"),
        _arg("--list", action="store_true", help="list the backups in TARGET, and make none"),
        _arg("--check", action="store_true", help="read everything in TARGET again, and make none"),
    ), notes="""\
Nobody who writes waits for it. A backup costs what is new: content is kept once, by its SHA-256, and
everything that is written is read back. It appears whole or not at all; one that was killed leaves the
earlier ones as they were. Left out are the index, which is built anew, and uploads of commands that
were not given yet.

Whoever can read a backup with `private` in it can read every private task, also those erased since,
and act as the exchange: guard it like the exchange itself, or keep `private` apart with --private-to.
A task is erased for good only once the backups from before have gone: see --keep.

The exit code is 1 if the backup was made but the exchange itself lacks something, which is named."""),
    Verb("restore", _RUN, "make an exchange of a backup, in an empty folder",
         "taskrepo restore /mnt/backup --data /srv/exchange", "safekeeping:restore_backup", (
        _arg("source", metavar="SOURCE", help="the folder of backups, or SOURCE@SNAPSHOT (default: the newest)"),
        _arg("--private-from", metavar="FOLDER", help="where --private-to put keys, passwords and the signing key"),
        _arg("--unjudged", action="store_true", help="do not judge the whole history now: the served exchange does"),
        _arg("--salvage", action="store_true", help="restore what can be, and name what is damaged or missing"),
    ), notes="""\
Everything is checked while it is copied, and the whole history is judged as `taskrepo verify` does.
The folder must be new or empty: nothing is overwritten. What is restored can be served at once; every
lease has its full length again. Stop the old exchange first, if it still runs: there must be only one."""),
    Verb("doctor", _RUN, "check an exchange's folder", "taskrepo doctor", "doctor:doctor",
         (_arg("--repair", action="store_true", help="first mend what is safe to mend"),
          _arg("--from", dest="backups", action="append", metavar="BACKUP",
               help="with --repair: bring back what is missing or damaged from this folder of backups; repeatable")),
         notes="""\
It looks at keys, modes, locks, git's settings, hooks and objects, the latest commits, large files,
uploads, databases, the vault of private tasks, the disk and the clock, and names what is wrong with
what mends it. Without --repair it changes nothing. It may be run while the exchange is being served;
what it reads of every task takes time with their number.

A repair gives the repository the settings, hooks and folders it needs, takes `private` from others,
moves stale locks and broken caches out of the way, and builds indexes of packs anew. What it replaces
is moved to set-aside/, never deleted. Databases, keys and the index are only mended while the exchange
is not served."""),
    Verb("reindex", _RUN, "build the listing index again", "taskrepo reindex", "administration:reindex"),
)  # fmt: skip
