"""What swlb knows of servers by real checks: shared and several; `swlb why`, `show health`, both ends of a reset."""

import json
import time
from typing import Any

import pytest

from netns.running import cli, made_namespaces, wait_until
from netns.sites import CHECK, WEB_PORT, Routed, Transparent, connected, serving, site
from netns.traffic import http_server, listening

AGENT_PORT = 5555

pytestmark = pytest.mark.root


def shared(config: dict[str, Any]) -> None:
    """Two services of the same servers share a check by name; `web` has a second one beside it."""
    config["checks"] = {"web-ok": dict(CHECK), "ping": dict(CHECK) | {"type": "icmp"}}
    web = config["services"]["web"]
    config["services"]["too"] = dict(web) | {"port": 81, "check": "web-ok"}
    web["check"] = {"all": ["web-ok", "ping"]}
    agent = {"type": "agent", "port": AGENT_PORT, "interval": "200ms", "response": "300ms", "dead_interval": "200ms"}
    web1 = dict(web["servers"]["web1"]) | {"weight": 10}
    agreed = {"port": 82, "check": {"all": ["web-ok", agent]}, "servers": {"web1": web1}, "vip": Routed.vips[4]}
    config["services"]["agreed"] = dict(web) | agreed


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    with made_namespaces() as make, site(Routed, make, tmp_path_factory.mktemp("state"), change=shared) as at:
        yield at


@pytest.fixture(scope="module")
def served(at):
    with serving(at):
        yield at


def why(at, server: str) -> str:
    done = at.swlb.cli("why", server)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def health(at, **fields: str) -> list[dict]:
    return [row for row in at.swlb.show("health") if fields.items() <= row.items()]


def test_a_shared_check_connects_once_for_two_services(at):
    accepted: list[float] = []
    host = at["web1"]
    with listening(host, host.ipv4, WEB_PORT, lambda _: accepted.append(time.monotonic())):
        at.swlb.wait_operational("up", "web/web1", "too/web1")
        began, before = time.monotonic(), len(accepted)
        time.sleep(2)
        taken, took = len(accepted) - before, time.monotonic() - began
    # One every 200 ms; two services of their own would connect twice as often.
    assert 3 <= taken <= took / 0.2 * 1.3 + 1
    at.swlb.wait_operational("down", "web/web1", "too/web1")


def test_a_server_of_which_one_check_fails_is_down_by_that_one(at):
    at.swlb.wait_operational("down", "web/web3")
    (row,) = [row for row in at.swlb.show("servers") if (row["service"], row["server"]) == ("web", "web3")]
    assert (row["reason"], row["check_status"]) == ("L4CON", "L4CON")
    assert {row["check"]: row["operational"] for row in health(at, service="web", server="web3")} == {
        "web-ok": "down", "ping": "up"}  # fmt: skip
    assert "takes no new sessions: its check web-ok, one of 2 (all must be up), fails (L4CON" in why(at, "web/web3")
    host = at["web3"]
    with http_server(host, host.ipv4, WEB_PORT):
        at.swlb.wait_operational("up", "web/web3", "too/web3")
    at.swlb.wait_operational("down", "web/web3", "too/web3")


def test_health_tells_the_last_probes_and_what_happens_next(served):
    at = served
    def asked() -> list[dict]:
        return [row for row in health(at) if row["type"] != "agent"]

    wait_until(lambda: all(row["last"][-3:] == "✓✓✓" for row in asked()), "three good probes of each", within=15)
    wait_until(lambda: all(len(row["history"]) == 16 for row in asked()), "16 probes of each", within=15)
    for row in asked():
        agos = [ago for ago, _, _ in row["history"]]
        assert agos == sorted(agos, reverse=True)
        assert agos[-1] < 2
        assert {status for _, status, _ in row["history"][-3:]} == {"L4OK" if row["type"] == "tcp" else "L3OK"}
        assert sum(row["phases"].values()) <= row["check_duration_ms"] + 0.01
        assert row["next"].startswith(("probe in 0.", "a probe is on its way"))
    table = at.swlb.cli("show", "health").stdout.splitlines()
    assert table[0].split()[:4] == ["service", "server", "check", "type"]
    assert sum("✓✓✓" in line for line in table[1:]) == len(asked())


def test_why_tells_what_an_order_does(served):
    assert why(served, "web/web1").startswith("web/web1 takes new sessions: its check ")
    served.swlb.order("web/web1", "drain")
    assert "web/web1 takes no new sessions: an operator's order, drain" in why(served, "web/web1")
    served.swlb.order("web/web1", "maint")
    assert "it is not checked" in why(served, "web/web1")
    served.swlb.order("web/web1", "ready")
    served.swlb.wait_operational("up", "web/web1")
    told = json.loads(served.swlb.cli("why", "web/web1", "--json").stdout)
    assert (told["takes_new_sessions"], told["server"], told["admin"]) == (True, "web/web1", "ready")


def test_why_of_nobody_exits_1_and_of_no_swlb_3(served, tmp_path):
    done = served.swlb.cli("why", "web/nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there are: web/web1" in done.stderr
    assert cli("why", "web/web1", "--control", str(tmp_path / "none.sock")).returncode == 3


def test_what_an_agent_says_is_done_beside_the_check(served):
    words, row = ["up"], {"service": "agreed", "server": "web1"}
    host = served["web1"]
    with listening(host, host.ipv4, AGENT_PORT, lambda sock: sock.sendall(f"{words[0]}\n".encode())):
        for said, field, value in (
            ("up ready 50%", "effective_weight", 5), ("drain", "effective_admin", "drain"),
            ("maint", "effective_admin", "maint"), ("ready", "effective_admin", "ready"),
            ("stopped", "operational", "down"), ("up weight:7 #back", "effective_weight", 7),
        ):  # fmt: skip
            words[0] = said
            wait_until(lambda f=field, v=value: served.swlb.row("servers", **row)[f] == v, f"{field} {value}")
        assert served.swlb.row("servers", **row)["admin"] == "ready"
        assert served.swlb.row("servers", **row)["agent"] == "ready up weight:7 #back"
    wait_until(lambda: "says nothing" in health(served, **row, type="agent")[0]["detail"], "the agent has gone")
    told = served.swlb.row("servers", **row)
    assert (told["operational"], told["effective_weight"]) == ("up", 7)
    by_agent = [(event["kind"], event["new"]) for event in served.swlb.events("admin") if event["by"] == "agent"]
    assert by_agent[-3:] == [("admin", "drain"), ("admin", "maint"), ("admin", "ready")]


def one_server(config: dict[str, Any]) -> None:
    """Only web1, unchecked: it is down by order, and there all the while."""
    web = config["services"]["web"]
    web["servers"] = {name: web["servers"][name] for name in ("web1", "web1v6")}
    del web["check"]


@pytest.fixture(scope="module", params=[Routed, Transparent], ids=["routed", "transparent"])
def alone(request, tmp_path_factory):
    with (
        made_namespaces() as make,
        site(request.param, make, tmp_path_factory.mktemp("alone"), change=one_server) as at,
    ):
        yield request.param, at


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("speaks", ["client", "server"])
def test_both_ends_of_a_connection_are_reset_whoever_speaks(alone, family, speaks):
    (shape, at), server = alone, "web/web1" if family == 4 else "web/web1v6"
    with connected(at, family, shape.vips[family]) as (near, far), near, far:
        port = near.getsockname()[1]
        mine = [row for row in at.swlb.show("sessions") if row["client"].endswith(f":{port}")]
        assert len(mine) == 1
        wait_until(lambda: at.swlb.row("sessions", client=mine[0]["client"])["state"] == "ESTABLISHED", "established")
        at.swlb.order(server, "maint")
        event = at.swlb.events("admin")[-1]
        assert (event["effect"], event["new"]) == ({"reset": 1}, "maint")
        (near if speaks == "client" else far).send(b"more")
        for end in (near, far):
            end.settimeout(5)
            with pytest.raises(ConnectionResetError):
                end.recv(100)
    at.swlb.order(server, "ready")
