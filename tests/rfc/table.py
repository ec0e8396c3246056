"""The table of rules: what the tests of this directory are named after, what others test, and what is otherwise.

    python -m tests.rfc          prints README.md, of which test_table.py says when it is no longer right
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import elsewhere, otherwise

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NAMED = re.compile(r"test_(?P<part>section|appendix)_(?P<section>[0-9a-z]+(?:_\d+)*)(?:_req_(?P<req>\d+[a-z]?))?_")
INTRODUCTION = """# Rules of RFCs, and the tests that hold swlb to them

`python -m tests.rfc > tests/rfc/README.md` writes this file, and a test compares the two. A row comes of a test in
this directory: of its name (the section) and of its docstring (the rule); or of `elsewhere.py`, where a scenario says
the rule already; or of `otherwise.py`, where swlb deliberately does something else, or need not do anything. Scapy, or
a full recomputation of checksums, judges what comes out.

Rules that only hosts or only routing protocols have are not here."""


@dataclass(frozen=True)
class Rule:
    """A rule of an RFC: where it stands, what it says, and what holds swlb to it or why nothing does."""

    rfc: int
    section: str           # "4.1", "5 REQ-2", "A"
    says: str
    held_by: str           # file::test, or the reason why swlb does otherwise
    tested: bool = True

    def order(self) -> list[tuple[int, str]]:
        """Sections in the order of the document."""
        parts = re.findall(r"\d+|[A-Za-z]+", self.section)
        return [(int(part), "") if part.isdigit() else (0, part) for part in parts]


def docstring(path: Path) -> str:
    """The first sentence of the file's docstring, in one line."""
    return first_sentence(ast.get_docstring(ast.parse(path.read_text())) or "")


def first_sentence(text: str) -> str:
    """As it stands in a table: in one line, with a capital."""
    line = " ".join(text.split("\n\n")[0].split()).replace("|", "\\|").removesuffix(".")
    return line[:1].upper() + line[1:]


def named_tests(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


def rule_of(path: Path, test: ast.FunctionDef) -> Rule:
    """The rule that a test is named after; one without a docstring is called what its name says."""
    named = NAMED.match(test.name + "_")
    section = "" if named is None else named["section"].replace("_", ".").upper()
    if named is not None and named["req"]:
        section += f" REQ-{named['req']}"
    says = first_sentence(ast.get_docstring(test) or test.name.removeprefix("test_").replace("_", " "))
    return Rule(rfc_of(path), section, says, f"{path.name}::{test.name}")


def rfc_of(path: Path) -> int:
    """5508 of test_rfc5508_errors.py."""
    number = re.match(r"test_rfc(\d+)", path.name)
    assert number is not None, f"{path.name}: not named after an RFC"
    return int(number[1])


def rules() -> list[Rule]:
    """All rules of all RFCs, in order."""
    found = [rule_of(path, test) for path in sorted(HERE.glob("test_rfc*.py")) for test in named_tests(path)]
    found += [Rule(rfc, section, first_sentence(says), test) for rfc, section, says, test in elsewhere.RULES]
    found += [Rule(rfc, section, first_sentence(says), why, tested=False)
              for rfc, section, says, why in otherwise.RULES]
    return sorted(found, key=lambda rule: (rule.rfc, rule.order()))


def titles() -> dict[int, list[str]]:
    """What each RFC is about, as the files of its tests say."""
    said: dict[int, list[str]] = {}
    for path in sorted(HERE.glob("test_rfc*.py")):
        what = docstring(path).removeprefix(f"RFC {rfc_of(path)}").lstrip(":, ")
        said.setdefault(rfc_of(path), []).append(first_sentence(what) + ".")
    return said


def table() -> str:
    """README.md as it has to be."""
    about, lines, rfc = titles(), [INTRODUCTION], 0
    for rule in rules():
        if rule.rfc != rfc:
            rfc = rule.rfc
            lines += ["", f"## RFC {rfc}", ""]
            lines += [line for said in about.get(rfc, []) for line in (said, "")]
            lines += ["| section | rule | test |", "|---|---|---|"]
        held_by = f"`{rule.held_by}`" if rule.tested else f"otherwise: {rule.held_by}"
        lines.append(f"| {rule.section or '–'} | {rule.says} | {held_by} |")
    return "\n".join(lines) + "\n"
