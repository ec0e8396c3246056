"""The devices of ports when the configuration changes: what comes, what goes, what stays, and what is refused."""

import asyncio
import subprocess

import pytest

from netns.changing import Changing, addresses, changing, links, members, routes, set_to, without
from netns.running import ip
from swlb.errors import SwlbError
from swlb.workers import Workers

pytestmark = pytest.mark.root

NO_WEB2 = (without("ports", "web2"), members("inside", "web1"))
PORTS = ("client", "other", "web1", "web2")
TAPS = {f"sw-{name}" for name in PORTS}


@pytest.fixture
def at(make_netns):
    with changing(make_netns) as made:
        yield made


def port(at: Changing, name: str, kind: str = "tap", device: str | None = None, **more: object):
    """There is a port of that name, whose device is in `ends`."""
    return set_to({kind: device or f"sw-{name}", "netns": at.ends} | more, "ports", name)


def with_web3(at: Changing, **more: object):
    return port(at, "web3", **more), members("inside", "web1", "web2", "web3")


def with_db(at: Changing):
    return port(at, "db"), members("inside", "web1", "db")


def wire(at: Changing, name: str = "wire") -> None:
    """There is an interface of that name in `ends`."""
    ip(at.ends, f"link add {name} mtu 2000 type veth peer name {name}-far")


# ---- nothing changes ----


def test_what_does_not_change_is_not_touched(at):
    before = at.everything()
    at.reload()
    assert at.everything() == before


def test_what_is_prepared_and_closed_was_never_there(at):
    before = at.everything()
    changed = at.parsed(
        port(at, "web3", mtu=1300),
        without("ports", "web2"),
        members("inside", "web1", "web3"),
        *(set_to(9000, "ports", name, "mtu") for name in ("client", "other")),
        addresses("10.0.2.2/24", "fd00:2::1/48", "fd00:3::1/64"),
        routes(("10.8.0.0/16", "10.0.2.254")),
        set_to(["10.0.1.101", "fd00:1::101"], "services", "web", "vip"),
    )
    at.ports.prepare(changed).close()
    assert at.everything() == before


def test_a_block_that_is_left_without_a_commit_was_never_there(at):
    before = at.everything()
    with at.ports.prepare(at.parsed(*with_web3(at))):
        assert "sw-web3" in at.ends_of_ports()
    assert at.everything() == before


def test_what_is_prepared_when_swlb_ends_is_given_back_too(make_netns):
    with changing(make_netns) as at:
        wire(at)
        at.ports.prepare(at.parsed(port(at, "web3", "packet", "wire"), members("inside", "web1", "web2", "web3")))
        assert links(at.ends)["wire"]["mtu"] == 1500
    assert links(at.home) == {}
    assert {name: link["mtu"] for name, link in links(at.ends).items()} == {"wire": 2000, "wire-far": 1500}
    with pytest.raises(SwlbError, match="swlb is ending"):
        at.ports.prepare(at.parsed())


# ---- ports come and go ----


def test_a_port_comes(at):
    at.reload(*with_web3(at, mtu=1300))
    assert at.ends_of_ports() == TAPS | {"sw-web3"}
    assert links(at.ends)["sw-web3"]["mtu"] == 1300
    assert at.ports.opened["web3"].segments == ("inside",)


def test_a_port_goes(at):
    at.reload(*NO_WEB2)
    assert at.ends_of_ports() == TAPS - {"sw-web2"}
    assert "web2" not in at.ports.opened


def test_a_port_goes_only_when_the_workers_have_taken_over(at):
    with at.ports.prepare(at.parsed(*NO_WEB2)) as prepared:
        assert "web2" not in prepared.devices()
        assert at.ends_of_ports() == TAPS


def test_a_port_that_stays_keeps_its_queue(at):
    before = at.ports.devices()["web1"].fds
    at.reload(*NO_WEB2)
    assert at.ports.devices()["web1"].fds == before


def test_a_port_that_moves_to_another_segment_keeps_its_device(at):
    before = links(at.ends), at.ports.devices()["other"].fds
    at.reload(members("outside", "client"), members("inside", "web1", "web2", "other"))
    assert (links(at.ends), at.ports.devices()["other"].fds) == before
    assert at.ports.opened["other"].segments == ("inside",)


def test_a_port_that_is_called_otherwise_keeps_its_device(at):
    before = links(at.ends), at.ports.devices()["web2"].fds
    at.reload(without("ports", "web2"), port(at, "db", device="sw-web2"), members("inside", "web1", "db"))
    assert (links(at.ends), at.ports.devices()["db"].fds) == before
    assert at.ports.opened["db"].device.port_name == "db"


def test_ports_may_exchange_their_devices(at):
    fds = {name: at.ports.devices()[name].fds for name in ("web1", "web2")}
    at.reload(port(at, "web1", device="sw-web2"), port(at, "web2", device="sw-web1"))
    assert {name: at.ports.devices()[name].fds for name in fds} == {"web1": fds["web2"], "web2": fds["web1"]}


def test_a_tun_comes_and_goes(at):
    at.reload(port(at, "tunnel", "tun"), set_to({"ports": ["tunnel"], "addresses": ["10.3.0.1/24"]}, "segments", "far"))
    assert links(at.ends)["sw-tunnel"]["linkinfo"]["info_data"]["type"] == "tun"
    assert "swlb-far" in links(at.home)
    at.restore()
    assert (at.ends_of_ports(), set(links(at.home))) == (TAPS, {"swlb-outside", "swlb-inside"})


def test_an_interface_is_held_and_given_back(at):
    wire(at)
    def state() -> tuple[int, int, bool]:
        link = links(at.ends)["wire"]
        return link["promiscuity"], link["mtu"], "UP" in link["flags"]

    at.reload(port(at, "web3", "packet", "wire"), members("inside", "web1", "web2", "web3"))
    assert state() == (1, 1500, True)
    at.restore()
    assert state() == (0, 2000, False)


def test_an_interface_is_heard_once_it_is_in_force(at):
    wire(at)
    with at.ports.prepare(
        at.parsed(port(at, "web3", "packet", "wire"), members("inside", "web1", "web2", "web3"))
    ) as prepared:
        assert not prepared.opened["web3"].listens
    at.reload(port(at, "web3", "packet", "wire"), members("inside", "web1", "web2", "web3"))
    assert at.ports.opened["web3"].listens


# ---- mtu ----


@pytest.mark.parametrize("mtu", [1300, 9000])
def test_the_device_has_the_mtu_that_the_port_has(at, mtu):
    at.reload(set_to(mtu, "ports", "web1", "mtu"))
    assert links(at.ends)["sw-web1"]["mtu"] == mtu
    assert at.built.workers.port(at.built.ports["web1"])["mtu"] == mtu


@pytest.mark.parametrize("mtu", [1300, 9000])
def test_an_interface_has_the_mtu_that_the_port_has_and_gets_its_own_back(at, mtu):
    wire(at)
    at.reload(port(at, "web3", "packet", "wire"), members("inside", "web1", "web2", "web3"))
    at.reload(set_to(mtu, "ports", "web3", "mtu"))
    assert links(at.ends)["wire"]["mtu"] == mtu
    at.restore()
    assert links(at.ends)["wire"]["mtu"] == 2000


@pytest.mark.parametrize("mtu", [1300, 9000])
def test_the_kernel_twin_follows_the_least_mtu_of_its_segment(at, mtu):
    at.reload(set_to(mtu, "ports", "web1", "mtu"), set_to(mtu, "ports", "web2", "mtu"))
    assert links(at.home)["swlb-inside"]["mtu"] == mtu


def test_an_mtu_that_somebody_else_has_set_is_left_while_the_port_s_does_not_change(at):
    ip(at.ends, "link set sw-web1 mtu 1400")
    at.reload(*with_web3(at))
    assert links(at.ends)["sw-web1"]["mtu"] == 1400


def test_workers_are_never_told_of_more_than_a_device_takes(at):
    for mtu in (9000, 1300):
        with at.ports.prepare(at.parsed(set_to(mtu, "ports", "web1", "mtu"))) as prepared:
            assert prepared.devices()["web1"].mtu == mtu <= links(at.ends)["sw-web1"]["mtu"]


# ---- what cannot be had ----


def test_a_device_that_cannot_be_opened_leaves_everything_as_it_was(at):
    ip(at.ends, "link add taken type veth peer name taken-far")
    before = at.everything()
    changes = (*(set_to(9000, "ports", name, "mtu") for name in PORTS), routes(("10.8.0.0/16", "10.0.2.254")),
               *with_web3(at), port(at, "web3", device="taken"))  # fmt: skip
    assert at.refused(*changes).startswith("port web3 (taken): move to namespace")
    assert at.everything() == before


def test_an_interface_that_is_not_there_leaves_everything_as_it_was(at):
    before = at.everything()
    words = at.refused(port(at, "web3", "packet", "no-such"), members("inside", "web1", "web2", "web3"))
    assert words.startswith("port web3 (no-such): SIOCGIFINDEX: No such device; there is no interface of that name")
    assert at.everything() == before


def test_a_device_that_another_kind_of_port_still_has_is_refused_with_a_way(at):
    words = at.refused(without("ports", "web2"), port(at, "db", "packet", "sw-web2"), members("inside", "web1", "db"))
    assert words == (
        "port db: sw-web2 is in use by port web2 until this configuration is in force: choose another name for the "
        "device, or reload twice, first without the port"
    )


# ---- what is lost ----


def test_a_device_that_was_lost_is_made_anew_with_the_mac_it_had(at):
    mac = links(at.ends)["sw-web2"]["address"]
    ip(at.ends, "link delete sw-web2")
    at.reload()
    assert links(at.ends)["sw-web2"]["address"] == mac
    assert at.ports.opened["web2"].state.present


def test_an_interface_that_was_lost_is_no_obstacle_and_is_held_again_when_it_is_back(at, caplog):
    wire(at)
    at.reload(port(at, "web3", "packet", "wire"), members("inside", "web1", "web2", "web3"))
    ip(at.ends, "link delete wire")
    at.reload(set_to(1300, "ports", "web3", "mtu"))
    assert "port web3 (wire): SIOCGIFINDEX: No such device" in caplog.text
    wire(at)
    at.reload()
    assert (links(at.ends)["wire"]["promiscuity"], links(at.ends)["wire"]["mtu"]) == (1, 1300)


def test_a_tun_that_was_lost_is_made_anew(at):
    far = port(at, "tunnel", "tun"), set_to({"ports": ["tunnel"], "addresses": ["10.3.0.1/24"]}, "segments", "far")
    at.reload(*far)
    ip(at.ends, "link delete sw-tunnel")
    at.reload()
    assert at.ports.opened["tunnel"].state.present


def test_a_device_lost_with_its_namespace_is_made_where_the_new_one_is(at):
    subprocess.run(["ip", "netns", "delete", at.ends], check=True)
    subprocess.run(["ip", "netns", "add", at.ends], check=True)
    at.reload()
    assert at.ends_of_ports() == TAPS


def test_devices_that_are_lost_before_the_commit_do_not_stop_it(at):
    config = at.parsed(*(set_to(1300, "ports", name, "mtu") for name in PORTS), addresses("10.0.2.1/24", "10.0.2.2/24"),
                       routes(), set_to({}, "services"))  # fmt: skip
    with at.ports.prepare(config) as prepared:
        ip(at.ends, "link delete sw-web1")
        ip(at.home, "link delete swlb-outside")
        prepared.commit(at.built, at.events)
    assert {event["port"] for event in at.events.rows()} == {"web1", "outside/host"}
    assert {links(at.ends)[f"sw-{name}"]["mtu"] for name in ("client", "other", "web2")} == {1300}
    assert at.addresses() == {"10.0.2.1/24", "10.0.2.2/24"}


def test_it_may_be_prepared_and_closed_in_threads_of_their_own(at):
    async def reload() -> None:
        with await asyncio.to_thread(at.ports.prepare, at.parsed(*NO_WEB2, *with_db(at))) as prepared:
            at.ports.look(at.built, at.events)
            prepared.commit(at.build(prepared), at.events)
            await asyncio.to_thread(prepared.close)

    asyncio.run(reload())
    assert at.ends_of_ports() == TAPS - {"sw-web2"} | {"sw-db"}


# ---- what is told ----


def test_what_happens_to_a_device_is_told_under_the_port_s_present_name(at):
    at.reload(without("ports", "web2"), port(at, "db", device="sw-web2"), members("inside", "web1", "db", "web3"),
              port(at, "web3"))  # fmt: skip
    for name in ("web2", "web3"):
        ip(at.ends, f"link set sw-{name} down")
    at.ports.look(at.built, at.events)
    assert [event["text"] for event in at.events.rows()] == [
        "port db: its device sw-web2 is down",
        "port web3: its device sw-web3 is down",
    ]
    assert not at.built.workers.port(at.built.ports["web3"])["up"]


def test_a_device_that_was_lost_and_is_made_anew_is_told(at):
    ip(at.ends, "link delete sw-web2")
    at.ports.look(at.built, at.events)
    at.reload()
    assert [event["text"] for event in at.events.rows()] == [
        "port web2: its device sw-web2 is gone",
        "port web2: its device sw-web2 is up",
    ]


def test_a_port_that_goes_and_one_that_comes_are_no_news_of_devices(at):
    at.reload(*NO_WEB2, port(at, "web3"), members("inside", "web1", "web3"))
    at.ports.look(at.built, at.events)
    assert at.events.rows() == []


def test_the_vips_of_a_segment_are_announced_where_a_port_has_come(at, monkeypatch):
    announced: list[int] = []
    monkeypatch.setattr(Workers, "announce", lambda workers, segment: announced.append(segment))
    at.reload()
    assert announced == []
    at.reload(*with_web3(at))
    at.reload(members("outside", "client"), members("inside", "web1", "web2", "web3", "other"))
    assert announced == [at.built.segments["inside"]] * 2


# ---- all of it ----


def test_nothing_is_left_of_fifty_reloads(at):
    wire(at)
    for number in range(25):
        at.reload(port(at, "web3", "packet", "wire"), port(at, "web4"),
                  members("outside", "client"), members("inside", "web1", "web2", "web3", "web4", "other"),
                  addresses("10.0.2.2/24", "10.0.2.1/24", "fd00:7::1/64"), routes(("10.8.0.0/16", "10.0.2.253")),
                  set_to({"ports": ["web5"], "addresses": ["10.3.0.1/24"]}, "segments", "far"), port(at, "web5", "tun"),
                  set_to(1300 + number, "ports", "web1", "mtu"),
                  set_to([f"10.0.1.{101 + number}"], "services", "web", "vip"),
                  without("services", "web", "servers", "web1v6"))  # fmt: skip
        at.restore()
        if number == 0:
            # An interface that was up once has another queueing discipline than one that never was.
            before = at.everything()
    assert at.everything() == before
