"""`web.policyform`: the policy as a form, and back."""

from dataclasses import replace

import pytest

from taskrepo import parse, plain
from taskrepo.errors import Invalid, Refused
from taskrepo.model import Policy, Stamp
from taskrepo.web import policyform
from taskrepo.web.policyform import RULES, WAS, asked, kept, meant, sections, typed, values


def form_of(policy: Policy, **changed: str) -> dict[str, str]:
    """What a browser sends back."""
    shown = values(policy)
    return {**{WAS + name: value for name, value in shown.items()}, **shown, **changed}


def test_every_field_comes_back_as_it_went_out() -> None:
    """What is shown for each field means exactly the value it was made from, also for odd values."""
    odd = replace(Policy(), lease_seconds=601, max_file_bytes=1537, denied_types=(), self_review=True, name="a b")
    for policy in (Policy(), odd):
        data = plain.policy_to(policy)
        assert {name: meant(rule, typed(rule, getattr(policy, name))) for name, rule in RULES.items()} == {
            name: data[name] for name in RULES
        }
        assert asked(policy, form_of(policy)) == {}


@pytest.mark.parametrize(("name", "text", "value"), [
    ("max_file_bytes", "1.5 GiB", 3 << 29), ("max_file_bytes", "200 MB", 200_000_000), ("max_file_bytes", "4096", 4096),
    ("max_file_bytes", "1 byte", 1), ("max_file_bytes", " 8tib ", 8 << 40), ("lease_seconds", "90 min", 5400),
    ("lease_seconds", "1.5 hours", 5400), ("lease_seconds", "2 weeks", 1209600), ("max_attempts", "7", 7),
    ("denied_suffixes", ".EXE,.bat\n .exe", [".exe", ".bat"]), ("denied_types", "  ", []),
    ("self_review", "yes", True), ("name", "  Our exchange ", "Our exchange"),
])  # fmt: skip
def test_units_are_understood(name: str, text: str, value: object) -> None:
    """Sizes and times are read with the units that people type."""
    assert meant(RULES[name], text) == value


@pytest.mark.parametrize("text", ["2 MB", "2 MiB", "1 kB", "500 GB", "3 TB", "1025 B", "1 TiB", "0 B"])
def test_a_size_is_shown_as_it_was_typed(text: str) -> None:
    """A size in whole decimal or binary units is told in that unit, not in bytes."""
    assert typed(RULES["max_file_bytes"], meant(RULES["max_file_bytes"], text)) == text


@pytest.mark.parametrize(("name", "text"), [
    ("max_file_bytes", "much"), ("max_file_bytes", "1 mile"), ("max_file_bytes", ""), ("max_file_bytes", "-1"),
    ("max_file_bytes", "1.5"), ("lease_seconds", "0.3 s"), ("lease_seconds", "1 GiB"), ("max_attempts", "3 days"),
    ("max_attempts", "٣"), ("max_attempts", "9" * 40), ("self_review", "maybe"),
])  # fmt: skip
def test_what_cannot_be_read_is_refused_by_name(name: str, text: str) -> None:
    """A value without sense is refused, and the refusal names the field."""
    with pytest.raises(Invalid) as refused:
        meant(RULES[name], text)
    assert refused.value.where == f"policy.{name}"


def test_only_what_was_touched_is_asked_for() -> None:
    """Fields that nobody touched stay out of the change, even if somebody else has changed them meanwhile."""
    made_from = Policy()
    now = replace(made_from, max_files=99, updated=Stamp("policy-set", "olga", 5))
    form = form_of(made_from, max_attempts="3", lease_seconds="120 minutes")
    assert asked(now, form) == {"max_attempts": 3}
    assert parse.changed_policy(now, asked(now, form)).max_files == 99
    assert (kept(now, form)["max_files"], kept(now, form)["max_attempts"]) == ("99", "3")


def test_a_field_changed_by_two_is_refused() -> None:
    """Whoever changes what somebody else has just changed hears of it, unless both want the same."""
    now = replace(Policy(), max_files=99, updated=Stamp("policy-set", "olga", 5))
    with pytest.raises(Refused) as refused:
        asked(now, form_of(Policy(), max_files="7"))
    assert (refused.value.code, refused.value.details["field"]) == ("precondition-failed", "max_files")
    assert "olga has changed it to 99" in refused.value.message
    assert asked(now, form_of(Policy(), max_files="99")) == {}


def test_every_field_says_what_it_does() -> None:
    """Each field has words and its default; a list says how it differs from the default one."""
    told = {field.name: field for _, fields in sections(replace(Policy(), denied_suffixes=(".exe", ".new")))
            for field in fields}  # fmt: skip
    assert told.keys() == RULES.keys()
    assert told["lease_seconds"].hint.endswith("Default: 2 hours.")
    usual = len(Policy().denied_suffixes)
    assert f"of {usual}, {usual - 1} are missing here, and 1 were added" in told["denied_suffixes"].hint
    assert told["denied_types"].hint.endswith(f"The default list, of {len(Policy().denied_types)}.")
    assert policyform.typed(RULES["upload_seconds"], 60) == "1 minute"
