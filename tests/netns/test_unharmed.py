"""A thousand connections that stay open notice nothing of what is changed around them."""

import copy
import json
from contextlib import ExitStack

import pytest

from netns.crowd import Crowd, naming
from netns.running import made_namespaces, wait_until
from netns.sites import Routed, config_of, site

pytestmark = pytest.mark.root

EACH = 250  # connections of each family and each of two services
PORTS = (8080, 8081)  # every server listens at both


def given(config) -> None:
    """Two services with checks, weights and a server in reserve."""
    config["services"]["web"]["scheduler"] = "wrr"
    config["services"]["other"] = copy.deepcopy(config["services"]["web"]) | {"port": 81, "scheduler": "rr"}
    del config["services"]["echo"]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A site, its connections, which server each of them is with, and the configuration they began with."""
    with ExitStack() as stack:
        make = stack.enter_context(made_namespaces())
        at = stack.enter_context(site(Routed, make, tmp_path_factory.mktemp("unharmed"), change=given))
        places = [(host, host.address(f), port) for host in at.servers for f in (4, 6) for port in PORTS]
        stack.enter_context(naming(places))
        at.swlb.wait_operational("up")
        crowd = Crowd(at.client, [(Routed.vips[f], port) for f in (4, 6) for port in (80, 81) for _ in range(EACH)])
        stack.callback(crowd.close)
        yield at, crowd, crowd.who(), json.loads(config_of(Routed, at.hosts, given))


def web(config):
    return config["services"]["web"]


def weights(config) -> None:
    web(config)["servers"]["web1"]["weight"] = 5
    web(config)["servers"]["web2v6"]["weight"] = 0


def scheduler(name: str, **more):
    def change(config) -> None:
        web(config).update({"scheduler": name, **more})
        config["services"]["other"].update({"scheduler": name, **more})

    change.__name__ = "_".join(["scheduler", name, *more])
    return change


def a_server_more(config) -> None:
    address = web(config)["servers"]["web1"]["address"]
    web(config)["servers"]["extra"] = {"address": address, "port": PORTS[1], "weight": 9}


def servers_less(config) -> None:
    """Servers that have connections leave."""
    for service in ("web", "other"):
        for name in ("web2", "web3v6"):
            del config["services"][service]["servers"][name]


def another_check(config) -> None:
    web(config)["check"] = {"type": "tcp", "interval": "300ms", "response": "200ms", "retries": 3}


def a_service_more(config) -> None:
    config["services"]["third"] = copy.deepcopy(web(config)) | {"port": 82}


def persistent(config) -> None:
    web(config)["persistence"] = {"by": "source", "mask": 24}


def other_times(config) -> None:
    config["timeouts"] = {"tcp_established": "1h"}
    config["segments"]["outside"]["ageing"] = "200s"


CHANGES = (
    lambda config: None, weights, scheduler("wlc"), a_server_more, scheduler("maglev"), servers_less, another_check,
    a_service_more, persistent, scheduler("hash", hash_key="five_tuple"), other_times,
)  # fmt: skip


def sessions(swlb) -> dict[tuple[str, str], str]:
    """Which server each session of the services is with, by the client's end and the VIP's."""
    rows = swlb.show("sessions")
    return {(row["client"], row["vip"]): row["server"] for row in rows if row["state"] == "ESTABLISHED"}


def test_reloads_harm_no_connection(crowded):
    at, crowd, served_by, config = crowded
    known, downs = sessions(at.swlb), at.swlb.events("server_down")
    assert len(known) == len(crowd) == len(served_by) == 4 * EACH
    for change in CHANGES:
        changed = copy.deepcopy(config)
        change(changed)
        at.swlb.reload(json.dumps(changed))
        assert crowd.who() == served_by, change.__name__
        assert sessions(at.swlb) == known, change.__name__
        at.swlb.wait_operational("up")
        assert crowd.who() == served_by, change.__name__
    assert at.swlb.events("server_down") == downs
    assert len(at.swlb.events("config_loaded")) == 1 + len(CHANGES)


def test_orders_harm_no_connection(crowded):
    at, crowd, served_by, config = crowded
    at.swlb.reload(json.dumps(config))
    for server, order in [
        ("web/web1", "weight=0"), ("web/web2", "drain"), ("web/web3", "weight=50%"), ("other/web1v6", "drain"),
        ("web/web2", "ready"), ("web/web1", "weight=100%"), ("other/web1v6", "ready"), ("web/web3", "weight=100%"),
    ]:  # fmt: skip
        at.swlb.order(server, order)
        assert crowd.who() == served_by, (server, order)


def test_a_reload_that_is_refused_changes_nothing(crowded):
    at, crowd, served_by, config = crowded
    at.swlb.reload(json.dumps(config))
    before = at.swlb.show("services")
    broken = copy.deepcopy(config)
    broken["services"]["web"]["servers"]["web1"]["wieght"] = 7
    del broken["services"]["other"]
    good = at.swlb.file.read_text()
    at.swlb.file.write_text(json.dumps(broken, indent=1))
    done = at.swlb.cli("reload")
    at.swlb.file.write_text(good)
    assert done.returncode == 2
    assert "services.web.servers.web1.wieght: found an unknown key" in done.stderr
    assert [row["service"] for row in at.swlb.show("services")] == [row["service"] for row in before]
    wait_until(lambda: at.swlb.events("config_refused"), "config_refused")
    assert crowd.who() == served_by
