"""README.md says what is tested, and of what it refers to nothing is missing."""

from collections import Counter

from . import elsewhere, otherwise
from .table import HERE, ROOT, docstring, named_tests, rules, table


def test_readme_is_what_the_tests_say() -> None:
    written = (HERE / "README.md").read_text()
    assert written == table(), "README.md is not up to date; write it by: python -m tests.rfc > tests/rfc/README.md"


def test_every_test_that_is_referred_to_exists() -> None:
    for rfc, section, _, reference in elsewhere.RULES:
        file, name = reference.split("::")
        path = ROOT / file
        assert path.exists(), f"RFC {rfc} {section}: no {file}"
        assert name in {test.name for test in named_tests(path)}, f"RFC {rfc} {section}: no {name} in {file}"


def test_every_file_says_what_its_rfc_is_about() -> None:
    for path in HERE.glob("test_rfc*.py"):
        assert docstring(path), f"{path.name} has no docstring"


def test_no_rule_is_told_twice() -> None:
    often = Counter((rule.rfc, rule.section, rule.says) for rule in rules())
    assert [rule for rule, times in often.items() if times > 1] == []


def test_what_is_otherwise_has_a_reason() -> None:
    assert all(why.strip() for _, _, _, why in otherwise.RULES)
