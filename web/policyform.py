"""The policy as a form: every field with its unit and words, and the change that a filled-in form asks for.

* Every field of the policy is there, by the name the schema gives it; the schema and the rule book alone decide.
* A size or a span is shown and typed with its unit; what is shown means exactly what the policy says.
* The form says what it was made from, so only what a person touched is asked for, and never undoes what somebody else
  has changed meanwhile: the same field changed by both is refused.

>>> typed(RULES["max_file_bytes"], 2 << 30), meant(RULES["max_file_bytes"], "1.5 GiB")
('2 GiB', 1610612736)
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from taskrepo import plain
from taskrepo.errors import Invalid, Refused
from taskrepo.model import Policy
from taskrepo.web.fields import Field

Unit = Literal["bytes", "seconds", "count", "flag", "list", "text"]

_BYTES: Final = {"TiB": 1 << 40, "TB": 10**12, "GiB": 1 << 30, "GB": 10**9, "MiB": 1 << 20, "MB": 10**6, "KiB": 1 << 10,
                 "kB": 1000, "B": 1}  # fmt: skip
_SECONDS: Final = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
_FACTORS: Final[Mapping[str, Mapping[str, int]]] = {
    "bytes": {
        **{name.lower(): factor for name, factor in _BYTES.items()},
        "": 1, "byte": 1, "bytes": 1,
    },
    "seconds": {
        **_SECONDS, "": 1, "s": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600,
        "d": 86400, "day": 86400, "week": 604800, "weeks": 604800,
    },
    "count": {"": 1},
}  # fmt: skip
_EXAMPLES: Final = {"bytes": "a size such as 1.5 GiB, 200 MB or 4096", "seconds": "a time such as 90 minutes or 7 days",
                    "count": "a whole number"}  # fmt: skip
WAS: Final = "was."
"""What stands before a field's name in the name of the hidden field with the value that the form was made from."""
_AMOUNT: Final = re.compile(r"([0-9]{1,16})(?:\.([0-9]{1,3}))?\s*([A-Za-z]{0,7})")


@dataclass(frozen=True, slots=True)
class Rule:
    """A field of the policy: its name there, what a person reads, in which unit it counts, and what it does."""

    name: str
    label: str
    unit: Unit
    told: str


GROUPS: Final[tuple[tuple[str, tuple[Rule, ...]], ...]] = (
    ("The exchange", (
        Rule("name", "Name", "text", "What the ledger calls this exchange."),
    )),
    ("Leases and attempts", (
        Rule("lease_seconds", "Lease", "seconds",
             "How long a task may be held without a sign of life, unless its manifest says otherwise."),
        Rule("max_lease_seconds", "Longest lease", "seconds", "No manifest can ask for more."),
        Rule("max_attempts", "Attempts", "count", "How many executions one task may have."),
        Rule("max_claims", "Tasks held at once", "count",
             "By one actor, whose own record may say less; 0 for any number. What waits for others does not count."),
        Rule("max_submissions", "Submissions", "count", "How many submissions one execution may have."),
    )),
    ("Talk and review", (
        Rule("max_discussion", "Discussion entries", "count", "How many entries the discussion of a task may have."),
        Rule("self_review", "Own work", "flag", "Whether somebody may review what they delivered themselves."),
    )),
    ("Files", (
        Rule("max_file_bytes", "One file", "bytes", "The largest file of a package, submission or discussion."),
        Rule("max_task_bytes", "All files of a task", "bytes", "Counted over its package, submissions and discussion."),
        Rule("max_files", "Number of files", "count", "How many files one package or submission may have."),
        Rule("max_actor_bytes", "All that one actor brings in", "bytes", "Counted over everything they ever sent."),
        Rule("large_file_bytes", "Kept outside git from", "bytes",
             "Files of this size and more are Git LFS objects; it counts for files that come from now on."),
        Rule("upload_seconds", "Uploads wait", "seconds", "How long an upload waits for the command that uses it."),
    )),
    ("Denied files", (
        Rule("denied_suffixes", "Denied by name", "list", "Endings of names, separated by spaces, as .exe."),
        Rule("denied_types", "Denied by content", "list",
             "Media types, separated by spaces, as found in the content, also inside archives."),
    )),
)  # fmt: skip
RULES: Final[Mapping[str, Rule]] = {rule.name: rule for _, rules in GROUPS for rule in rules}
assert set(RULES) == {field.name for field in fields(Policy)} - {"updated"}


def typed(rule: Rule, value: Any) -> str:
    """A value of the policy as the form has it."""
    match rule.unit:
        case "bytes":
            return _in_units(value, _BYTES)
        case "seconds":
            return _in_units(value, _SECONDS)
        case "flag":
            return "yes" if value else "no"
        case "list":
            return " ".join(value)
    return str(value)


def meant(rule: Rule, text: str) -> Any:
    """The value that a person typed, as the schema takes it. Raises `Invalid("invalid-field", "policy.<name>")`."""
    match rule.unit:
        case "text":
            return text.strip()
        case "list":
            return list(dict.fromkeys(re.split(r"[\s,]+", text.strip().lower()))) if text.strip() else []
        case "flag":
            if text not in ("yes", "no"):
                raise Invalid("invalid-field", f"policy.{rule.name}", "is yes or no")
            return text == "yes"
    return _amount(rule, text)


def sections(policy: Policy) -> list[tuple[str, tuple[Field, ...]]]:
    """The fields under their headings; each says what it does, and its default if that is not what is in force."""
    return [(title, tuple(_field(rule, policy) for rule in rules)) for title, rules in GROUPS]


def values(policy: Policy) -> dict[str, str]:
    """What the form shows for a policy."""
    return {name: typed(rule, getattr(policy, name)) for name, rule in RULES.items()}


def asked(policy: Policy, form: Mapping[str, str]) -> dict[str, Any]:
    """The body of `set-policy` that a form asks for: the fields that were touched, where they are not so already.

    Raises `Invalid` for a value that cannot be read, and `Refused("precondition-failed")` for one that somebody else
    has changed since the form was made.
    """
    shown, touched = values(policy), _touched(policy, form)
    for name, text in touched.items():
        if form.get(WAS + name, shown[name]) != shown[name] and text != shown[name]:
            told = f"{policy.updated.by} has changed it to {shown[name][:100]} meanwhile; look, and send the form again"
            raise Refused("precondition-failed", f"{RULES[name].label}: {told}", field=name)
    body = {name: meant(RULES[name], text) for name, text in touched.items()}
    now = plain.policy_to(policy)
    return {name: value for name, value in body.items() if value != now[name]}


def kept(policy: Policy, form: Mapping[str, str]) -> dict[str, str]:
    """What a refused form shows: what was typed in the fields that were touched, and in the others what is in force."""
    return {**values(policy), **_touched(policy, form)}


def _touched(policy: Policy, form: Mapping[str, str]) -> dict[str, str]:
    shown = values(policy)
    typed_in = {name: form[name].strip() for name in RULES if name in form}
    return {name: text for name, text in typed_in.items() if text != form.get(WAS + name, shown[name])}


def _field(rule: Rule, policy: Policy) -> Field:
    usual, now = getattr(Policy(), rule.name), getattr(policy, rule.name)
    hint = f"{rule.told} {_compared(usual, now) if rule.unit == 'list' else f'Default: {typed(rule, usual)}.'}"
    if rule.unit == "flag":
        return Field(rule.name, rule.label, "choice", True, hint, (("no", "nobody reviews their own work"),
                                                                    ("yes", "allowed, where the task lets them")))
    if rule.unit == "list":
        return Field(rule.name, rule.label, "text", hint=hint, rows=6, most=30_000)
    return Field(rule.name, rule.label, "line", True, hint, most=60)


def _compared(usual: Collection[str], now: Collection[str]) -> str:
    """How a list differs from its default."""
    gone, added = len({*usual} - {*now}), len({*now} - {*usual})
    if not gone and not added:
        return f"The default list, of {len(usual)}."
    return f"Of the default list, of {len(usual)}, {gone} are missing here, and {added} were added."


def _in_units(value: int, units: Mapping[str, int]) -> str:
    """The value in the largest unit that says it without a fraction: `90 minutes`, `1 day`."""
    name, factor = next((n, f) for n, f in units.items() if value % f == 0 and (value or f == 1))
    count = value // factor
    return f"{count} {name.removesuffix('s') if count == 1 and name.islower() else name}"


def _amount(rule: Rule, text: str) -> int:
    found = _AMOUNT.fullmatch(text.strip())
    factor = _FACTORS[rule.unit].get(found[3].lower()) if found else None
    thousandths = (int(found[1]) * 1000 + int((found[2] or "").ljust(3, "0"))) * factor if found and factor else 1
    if thousandths % 1000:
        raise Invalid("invalid-field", f"policy.{rule.name}", f"{text[:40]!r} is not {_EXAMPLES[rule.unit]}")
    return thousandths // 1000
