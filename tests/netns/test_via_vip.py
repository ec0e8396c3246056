"""Checks through the VIP: a server is up when what clients are sent would reach what serves there, and only then."""

import os
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address

import dpkt
import pytest

from netns.capture import Captured, capturing, tcp_of, unwrapped
from netns.modes import MODES, WEB, Standing, serving, standing
from netns.running import Host, made_namespaces, wait_until
from netns.traffic import get, http_server

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])
# In an order by which those of a test are the first of all, so that tests share what stands.
UNPACKED, OTHERS = ("ipip", "gue-in-ipv6"), ("dsr",)
TRANSLATED = ("routed", "one-arm-router")
CHANGES = {"dsr": {"top": {"mode": "dsr", "workers": 2}}} | {name: {"check": {"via": "vip"}} for name in TRANSLATED}
CHECKED = {mode.name: replace(mode, **CHANGES.get(mode.name, {})) for mode in MODES}
SERVER = "web1"


def of(*names: str) -> pytest.MarkDecorator:
    """In those modes; where servers have the VIP themselves a check goes through it of its own accord."""
    return pytest.mark.parametrize("served", [CHECKED[name] for name in names], indirect=True, ids=names)


UNPACKING, ALL_DIRECT, ALL = of(*UNPACKED), of(*UNPACKED, *OTHERS), of(*UNPACKED, *OTHERS, *TRANSLATED)


@pytest.fixture(scope="module")
def served(request, tmp_path_factory):
    """swlb in the mode, checking through the VIP, and servers that all serve."""
    with (
        made_namespaces() as make,
        standing(request.param, make, tmp_path_factory.mktemp(request.param.name)) as at,
        serving(at) as served,
    ):
        yield served


@pytest.fixture
def at(served) -> Standing:
    return served.at


@contextmanager
def without_vip(host: Host, vip: str):
    """Within the block the VIP is not on the host's loopback."""
    prefix = 128 if ":" in vip else 32
    host.ip(f"address del {vip}/{prefix} dev lo")
    try:
        yield
    finally:
        host.ip(f"address add {vip}/{prefix} dev lo{' nodad' if ':' in vip else ''}")


def checked(at: Standing, name: str) -> dict:
    """The row of `show health` of a server of service web."""
    return at.swlb.row("health", service="web", server=name)


def names(at: Standing) -> list[str]:
    """Of web1 as servers of service web."""
    return [f"{SERVER}v{family}" for family in at.mode.families()]


def form(frame: Captured) -> tuple:
    """What of a frame says how and for whom it was sent: MACs, who is called; in a tunnel also the outer headers."""
    packet = dpkt.ethernet.Ethernet(frame.data).data
    inner = dpkt.ethernet.Ethernet(unwrapped(frame).data).data
    segment = tcp_of(unwrapped(frame))
    outer = ()
    if packet.dst != inner.dst:
        kind, hops = (packet.p, packet.ttl) if packet.v == 4 else (packet.nxt, packet.hlim)
        outer = (packet.src, packet.dst, kind, hops)
    return frame.data[:12], outer, inner.dst, segment.dport


def syns(frames: list[Captured], port: int) -> dict[str, set[tuple]]:
    """The forms of the SYNs to the port, by who sent them."""
    found: dict[str, set[tuple]] = {}
    for frame in frames:
        segment = tcp_of(unwrapped(frame))
        if segment is not None and segment.dport == port and segment.flags == dpkt.tcp.TH_SYN:
            sender = str(ip_address(dpkt.ethernet.Ethernet(unwrapped(frame).data).data.src))
            found.setdefault(sender, set()).add(form(frame))
    return found


@ALL
def test_checks_say_that_they_go_through_the_vip(at):
    for name in names(at):
        row = checked(at, name)
        assert (row["via"], row["operational"]) == ("vip", "up")
        wait_until(lambda name=name: f"{WEB} on server " in checked(at, name)["detail"], "a sentence")


@ALL
@FAMILIES
def test_probes_have_the_form_of_clients_traffic(at, family):
    host = at.ground.hosts[SERVER]
    with capturing(host) as capture:

        def seen() -> dict[str, set[tuple]]:
            found = syns(capture.packets(outgoing=False), at.mode.port(WEB))
            version = {4: "IPv4Address", 6: "IPv6Address"}[family]
            return {sender: forms for sender, forms in found.items() if type(ip_address(sender)).__name__ == version}

        def by_client() -> set[tuple]:
            # Where an address stands for clients, it stands for probes, too: they are told apart by number.
            get(at.client, at.vip(family))
            return seen().get(at.seen_source(family), set())

        wait_until(by_client, "a client's SYN")
        wait_until(lambda: at.mode.source or len(seen()) > 1, "a probe")
    forms = set().union(*seen().values())
    assert len(forms) == 1, forms


@ALL_DIRECT
@FAMILIES
def test_a_server_without_the_vip_is_down_though_it_answers_at_its_own_address(at, family):
    host = at.ground.hosts[SERVER]
    # In a tunnel it is asked for both VIPs.
    lacking = names(at) if at.mode.outer else [f"{SERVER}v{family}"]
    own = [host.address(own) for own in at.mode.families()]
    with without_vip(host, at.vip(family)), http_server(host, own[0], WEB):
        at.swlb.wait_operational("down", *(f"web/{name}" for name in lacking))
        assert get(at.ground.hosts["web2"], own[0]).server == SERVER
        for name in lacking:
            wait_until(lambda name=name: "swlb doctor" in checked(at, name)["detail"], "advice")
        assert {at.swlb.operational()[f"web/web2v{own}"] for own in at.mode.families()} == {"up"}
        assert {get(at.client, at.vip(family)).server for _ in range(6)} == {"web2", "web3"}
    at.swlb.wait_operational("up")


@ALL
def test_a_server_on_which_nothing_serves_is_down_until_it_does(served):
    at, host = served.at, served.at.ground.hosts[SERVER]
    served.stop(host)
    at.swlb.wait_operational("down", *at.of_web(host))
    served.stacks[SERVER].__enter__()
    served.start(host)
    at.swlb.wait_operational("up")


@ALL
def test_nobody_s_figures_know_of_probes(at):
    before = at.swlb.row("services", service="web")
    left = [checked(at, names(at)[0])["next_probe_s"] or 0.0]

    def another_probe() -> bool:
        left.append(checked(at, names(at)[0])["next_probe_s"] or 0.0)
        return left[-1] > left[-2]

    wait_until(another_probe, "a further probe")
    assert at.swlb.row("services", service="web")["sessions_total"] == before["sessions_total"]
    own = {address.partition("/")[0] for segment in at.ground.segments.values() for address in segment["addresses"]}
    assert [row for row in at.swlb.show("sessions") if row["client"].rpartition(":")[0].strip("[]") in own] == []
    assert at.swlb.events("reply_bypasses") == []
    assert at.swlb.events("vip_conflict") == []


@UNPACKING
def test_a_server_that_does_not_unpack_is_down(served):
    at = served.at
    host = at.ground.hosts["web3"]
    found = subprocess.run(["ip", "netns", "pids", host.netns], check=True, capture_output=True, text=True)
    (decap,) = map(int, found.stdout.split())
    os.kill(decap, signal.SIGTERM)
    at.swlb.wait_operational("down", *at.of_web(host))
    name = at.of_web(host)[0].partition("/")[2]
    assert "unpack" in checked(at, name)["detail"]
