"""Backups take sessions while no other server of their clients can; it is told when they begin and end."""

import pytest
from control import CONFIG, Control, control

from swlb.figures import servers
from swlb.health import Transition
from swlb.tables import print_table

# web1 and web2 for IPv4 clients with a backup, and one server for IPv6 clients with another.
BACKED = CONFIG.replace(
    'web1v6: {address: "fd00:2::11", port: 8080}',
    'web3: {address: 10.0.2.13, port: 8080, backup: true}\n'
    '      web1v6: {address: "fd00:2::11", port: 8080}\n'
    '      web3v6: {address: "fd00:2::13", port: 8080, backup: true}',
)  # fmt: skip
FOUR = BACKED.replace('vip: [10.0.1.100, "fd00:1::100"]', "vip: 10.0.1.100")
FOUR = "\n".join(line for line in FOUR.splitlines() if "v6:" not in line) + "\n"


def change(balanced: Control, name: str, new: str) -> None:
    old = balanced.server(name).operational
    status = "L4OK" if new == "up" else "L4CON"
    balanced.balancer._on_transition(("web", name, 0), Transition(old, new, status, "a rule"))


def told(balanced: Control) -> list[tuple[str, str]]:
    """Kind and text of what was said of backups."""
    rows = balanced.events.rows()
    return [(row["kind"], row["text"]) for row in rows if row["kind"].startswith("backup")]


def reasons(balanced: Control, name: str) -> list[str]:
    return balanced.balancer.why(f"web/{name}")["reasons"]


def test_a_backup_begins_when_no_other_server_can_and_ends_when_one_can_again() -> None:
    balanced = control(FOUR)
    change(balanced, "web1", "down")
    assert told(balanced) == []
    change(balanced, "web2", "down")
    change(balanced, "web2", "up")
    assert told(balanced) == [
        ("backup", "service web: no other server can take sessions: its backup web3 does"),
        ("backup_over", "service web: web2 takes sessions again: its backup web3 rests"),
    ]


def test_the_events_carry_the_names_and_the_first_is_a_warning(caplog) -> None:
    balanced = control(FOUR.replace("      web3:", "      web4: {address: 10.0.2.14, backup: true}\n      web3:"))
    for name in ("web1", "web2"):
        change(balanced, name, "down")
    (event,) = [row for row in balanced.events.rows() if row["kind"] == "backup"]
    assert (event["service"], event["backups"]) == ("web", ["web4", "web3"])
    assert event["text"].endswith("its backups web4 and web3 do")
    assert [record.levelname for record in caplog.records if record.getMessage().startswith("backup:")] == ["WARNING"]


@pytest.mark.parametrize("order", ["drain", "maint", "weight=0"])
def test_orders_make_a_backup_begin_as_well(order: str) -> None:
    balanced = control(FOUR)
    balanced.balancer.order("web/web1", order)
    change(balanced, "web2", "down")
    assert [kind for kind, _ in told(balanced)] == ["backup"]


def test_each_family_s_clients_have_their_own_backups() -> None:
    balanced = control(BACKED)
    change(balanced, "web1v6", "down")
    change(balanced, "web1v6", "up")
    assert told(balanced) == [
        ("backup", "service web: no other server can take sessions over IPv6: its backup web3v6 does"),
        ("backup_over", "service web: web1v6 takes sessions over IPv6 again: its backup web3v6 rests"),
    ]
    assert reasons(balanced, "web3") == ["it is a backup: it takes no sessions while web1, web2 can"]


def test_behind_a_tunnel_servers_of_both_families_stand_in_for_each_other() -> None:
    # Servers need no port of their own there: the client's goes through.
    tunnelled = BACKED.replace("port: 80\n", "port: 80\n    forward: ipip\n", 1).replace(", port: 8080", "")
    balanced = control(tunnelled)
    change(balanced, "web1v6", "down")
    assert told(balanced) == []
    for name in ("web1", "web2"):
        change(balanced, name, "down")
    text = "service web: no other server can take sessions: its backups web3 and web3v6 do"
    assert told(balanced) == [("backup", text)]


def test_while_one_backup_is_left_nothing_more_is_told() -> None:
    balanced = control(FOUR.replace("      web3:", "      web4: {address: 10.0.2.14, backup: true}\n      web3:"))
    for name in ("web1", "web2", "web4"):
        change(balanced, name, "down")
    change(balanced, "web4", "up")
    assert [kind for kind, _ in told(balanced)] == ["backup"]


def test_backups_that_fall_too_are_said_to_take_none_any_more() -> None:
    balanced = control(FOUR)
    for name in ("web1", "web2", "web3"):
        change(balanced, name, "down")
    assert told(balanced)[1:] == [("backup_over", "service web: its backup web3 can take no sessions any more")]
    assert balanced.kinds()[-1] == "service_down"


def test_a_service_with_only_backups_left_is_still_up_and_takes_sessions() -> None:
    balanced = control(FOUR)
    for name in ("web1", "web2"):
        change(balanced, name, "down")
    assert "service_down" not in balanced.kinds()
    assert not any("takes no new sessions" in row["text"] for row in balanced.events.rows())


def test_why_says_that_a_backup_rests_and_for_whom_and_that_it_does_not() -> None:
    balanced = control(FOUR)
    sentence = balanced.balancer.why("web/web3")["sentence"]
    assert "web/web3 takes no new sessions: it is a backup: it takes no sessions while web1, web2 can." in sentence
    for name in ("web1", "web2"):
        change(balanced, name, "down")
    told_of_it = balanced.balancer.why("web/web3")
    assert told_of_it["takes_new_sessions"]
    assert "its weight is 1; it is a backup, and no other server can" in told_of_it["sentence"]


def test_many_servers_before_a_backup_are_counted_not_listed() -> None:
    more = "".join(f"      more{n}: {{address: 10.0.2.{20 + n}}}\n" for n in range(4))
    balanced = control(FOUR.replace("      web3:", f"{more}      web3:"))
    assert reasons(balanced, "web3") == ["it is a backup: it takes no sessions while 6 other servers can"]


def test_show_servers_says_which_are_backups(capsys) -> None:
    rows = servers(control(FOUR))
    assert {row["server"]: row["backup"] for row in rows} == {"web1": False, "web2": False, "web3": True, "ns1": False}
    print_table("servers", rows)
    head, *lines = capsys.readouterr().out.splitlines()
    at = head.index("backup")
    assert [line[at : at + 6].strip() for line in lines] == ["-", "-", "backup", "-"]


def test_without_backups_there_is_no_such_column(capsys) -> None:
    print_table("servers", servers(control()))
    assert "backup" not in capsys.readouterr().out


def opened(*, initial: str = "up") -> Control:
    return control(FOUR.replace("initial: up}", f"initial: {initial}}}\n    fail_open: 60%"))


def test_health_is_believed_as_long_as_a_backup_can_take_sessions() -> None:
    balanced = opened()
    for name in ("web1", "web2"):
        change(balanced, name, "down")
    assert not balanced.balancer.ignores_health("web")
    change(balanced, "web3", "down")
    assert balanced.balancer.ignores_health("web")
    change(balanced, "web3", "up")
    assert not balanced.balancer.ignores_health("web")


def test_a_backup_does_not_count_as_a_server_that_is_up() -> None:
    """One of two is up: with the backup it would be one of three."""
    balanced = opened()
    for name in ("web3", "web1"):
        change(balanced, name, "down")
    assert balanced.balancer.ignores_health("web")
    (event,) = [row for row in balanced.events.rows() if row["kind"] == "fail_open"]
    assert event["text"] == (
        "service web: 1 of 2 servers is up, less than 60%: health is ignored, all 2 take sessions")  # fmt: skip


def test_a_backup_of_which_nothing_is_known_is_no_reason_to_begin() -> None:
    balanced = opened(initial="checking")
    for name in ("web1", "web2"):
        change(balanced, name, "down")
    assert not balanced.balancer.ignores_health("web")
    change(balanced, "web3", "down")
    assert balanced.balancer.ignores_health("web")


def test_a_drained_backup_stands_in_for_nobody() -> None:
    balanced = opened()
    balanced.balancer.order("web/web3", "drain")
    for name in ("web1", "web2"):
        change(balanced, name, "down")
    assert balanced.balancer.ignores_health("web")
