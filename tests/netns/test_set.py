"""`swlb set server`: admin states and weights, wrong words, and who is told."""

import pytest

from netns.running import cli, wait_until
from netns.sites import Routed
from netns.traffic import connect, get, shares

pytestmark = pytest.mark.root

VIP = Routed.vips[4]


@pytest.fixture
def site(routed):
    """The routed site, everything ready with weight 1 afterwards."""
    yield routed
    for row in routed.swlb.show("servers"):
        name = f"{row['service']}/{row['server']}"
        if row["admin"] != "ready":
            routed.swlb.order(name, "ready")
        if row["weight"] != 1:
            routed.swlb.order(name, "weight=1")
    routed.swlb.wait_operational("up")


def server(site, name: str = "web1") -> dict:
    return site.swlb.row("servers", service="web", server=name)


@pytest.mark.parametrize("order", ["drain", "maint", "weight=0", "weight=0%"])
def test_a_server_that_is_ordered_out_gets_no_new_session(site, order):
    done = site.swlb.cli("set", "server", "web/web1", order)
    assert (done.returncode, done.stderr) == (0, "")
    assert shares(site.client, VIP, 10) == {"web2": 5, "web3": 5}
    assert server(site)["effective_weight"] == 0


def test_a_server_that_is_ready_again_gets_its_share(site):
    site.swlb.order("web/web1", "drain")
    assert site.swlb.cli("set", "server", "web/web1", "ready").returncode == 0
    assert shares(site.client, VIP, 30) == {"web1": 10, "web2": 10, "web3": 10}


@pytest.mark.parametrize("order", ["drain", "weight=0"])
def test_known_sessions_of_a_drained_server_go_on(site, order):
    for name in ("web2", "web3"):
        site.swlb.order(f"web/{name}", "drain")
    with connect(site.client, VIP, 80) as sock:
        site.swlb.order("web/web1", order)
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b'"server": "web1"' in sock.recv(4096, 0x100)  # MSG_WAITALL: the server closes when it is done


def test_the_admin_state_is_shown_and_the_operational_state_is_another_thing(site):
    site.swlb.order("web/web1", "drain")
    row = server(site)
    assert (row["admin"], row["operational"]) == ("drain", "up")


def test_a_server_in_maintenance_is_not_probed(site):
    site.swlb.order("web/web1", "maint")
    assert [row for row in site.swlb.show("health") if row["server"] == "web1"] == []
    assert server(site)["admin"] == "maint"


def test_a_server_back_from_maintenance_waits_for_its_check(site):
    site.swlb.order("web/web1", "maint")
    site.swlb.order("web/web1", "ready")
    wait_until(lambda: server(site)["operational"] == "up", "web1 up")
    assert shares(site.client, VIP, 30) == {"web1": 10, "web2": 10, "web3": 10}


def test_nobody_is_left_when_all_are_drained(site):
    for name in ("web1", "web2", "web3"):
        site.swlb.order(f"web/{name}", "drain")
    with pytest.raises(ConnectionRefusedError):
        get(site.client, VIP)


@pytest.mark.parametrize(("order", "weight"), [("weight=7", 7), ("weight=65535", 65535), ("weight=300%", 3)])
def test_a_weight_is_shown(site, order, weight):
    assert site.swlb.cli("set", "server", "web/web1", order).returncode == 0
    assert (server(site)["weight"], server(site)["effective_weight"]) == (weight, weight)


def test_an_admin_event_tells_the_change(site):
    site.swlb.order("web/web2", "drain")
    event = site.swlb.events("admin")[-1]
    assert (event["service"], event["server"], event["old"], event["new"]) == ("web", "web2", "ready", "drain")


def test_a_weight_event_tells_the_change(site):
    site.swlb.order("web/web2", "weight=5")
    event = site.swlb.events("weight")[-1]
    assert (event["service"], event["server"], event["old"], event["new"]) == ("web", "web2", 1, 5)


def test_an_order_that_changes_nothing_is_no_event(site):
    before = len(site.swlb.show("events"))
    site.swlb.order("web/web2", "ready")
    site.swlb.order("web/web2", "weight=1")
    assert len(site.swlb.show("events")) == before


@pytest.mark.parametrize("order", ["", "up", "READY", "weight", "weight=", "weight=-1", "weight=x", "weight=65536",
                                   "weight=1.5", "weight=%", "weight=99999999%", "drain=1"])  # fmt: skip
def test_wrong_words_exit_2_and_change_nothing(site, order):
    before = server(site)
    done = site.swlb.cli("set", "server", "web/web1", order)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip()
    after = server(site)
    assert (after["admin"], after["weight"]) == (before["admin"], before["weight"])


@pytest.mark.parametrize("name", ["web/web9", "nosuch/web1", "web1", "web/", "/", "web/web1/x"])
def test_an_unknown_server_exits_1_and_says_which_there_are(site, name):
    done = site.swlb.cli("set", "server", name, "drain")
    assert (done.returncode, done.stdout) == (1, "")
    assert name in done.stderr
    assert "web/web1" in done.stderr


@pytest.mark.parametrize("words", [["set", "server", "web/web1", "drain"], ["show", "servers"], ["flush", "fdb"]])
def test_no_swlb_exits_3_and_says_what_to_do(words, tmp_path):
    done = cli(*words, "--control", str(tmp_path / "none.sock"))
    assert (done.returncode, done.stdout) == (3, "")
    assert "swlb run" in done.stderr
