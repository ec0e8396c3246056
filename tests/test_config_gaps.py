"""What is not built yet is refused by name, never ignored."""

import pytest

from swlb.config.gaps import NOT_BUILT, Gap
from tests.config_text import BASE, Case, changed, problems, problems_of

CASES = [
    Case("a VLAN of a port as member", "[client]", "[client.5]",
         '9: segments.outside.ports[0]: found "client.5", not built yet; expected the name of a port'),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_not_built_is_refused_by_name(case: Case) -> None:
    assert problems_of(case) == [case.problem]


def test_a_gap_of_checks_is_one_wherever_a_check_may_stand() -> None:
    assert Gap("services.*.check.colour", "another").places == [
        "checks.*.colour", "services.*.check.colour", "services.*.check.all.*.colour", "services.*.check.any.*.colour"
    ]  # fmt: skip
    assert Gap("services.*.colour", "another").places == ["services.*.colour"]


def test_every_gap_has_a_case() -> None:
    refused = {case.problem.split(": ")[1].replace("[0]", ".0") for case in CASES}
    for gap in NOT_BUILT:
        steps = gap.place.split(".")
        assert any(
            len(path.split(".")) == len(steps)
            and all(step in ("*", found) for step, found in zip(steps, path.split("."), strict=True))
            for path in refused
        ), gap.place


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("port: 80\n", "port: 80\n    forward: nat\n    source_nat: never\n    scheduler: rr\n"),
        ("type: tcp", "via: server"),
        ("[client],", "[client], access: open, masquerade: off,"),
    ],
)
def test_a_default_may_be_stated(old: str, new: str) -> None:
    assert problems(changed(old, new)) == []


def test_a_port_may_have_a_name_that_looks_like_a_vlan_member() -> None:
    assert problems(BASE.replace("client:", "client.5:").replace("[client]", "[client.5]")) == []


def test_every_vlan_member_of_a_list_is_refused() -> None:
    found = problems(changed("[web1, web2]", "[web1.5, web2, web1.6]"))
    assert [problem.split(":")[1] for problem in found] == [" segments.inside.ports[0]", " segments.inside.ports[2]"]
