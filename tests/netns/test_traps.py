"""Where balancers fall silent or are robbed: what swlb foretells, what it does about it, and what it counts."""

import socket
from contextlib import closing, contextmanager

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from netns.capture import capturing
from netns.grounds import lay_wire
from netns.modes import MODES, serving, standing
from netns.running import Host, cli, made_namespaces, wait_until
from netns.sites import Routed, Transparent, site
from netns.sites import serving as all_serving
from netns.traffic import echoed, get, http_server, icmp_error, ping, probe_with_ttl, udp_client, udp_echo

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])
FAR = {4: "10.0.9.9", 6: "fd00:9::9"}
PORT_UNREACHABLE, TIME_EXCEEDED = {4: (3, 3), 6: (1, 4)}, {4: (11, 0), 6: (3, 0)}
PORT, CLOSED = 7000, 33434


def test_a_server_that_calls_its_vip_and_is_given_itself_hears_nothing_where_the_source_stays(make_netns, tmp_path):
    def never(config):
        config["services"]["web"]["source_nat"] = "never"

    with site(Routed, make_netns, tmp_path, change=never) as at, all_serving(at):
        for family in (4, 6):
            answered = []
            for _ in at.servers:
                try:
                    answered.append(get(at["web1"], Routed.vips[family]).server)
                except TimeoutError:
                    answered.append("nobody")
            assert sorted(answered) == ["nobody", "web2", "web3"]
        said = " ".join(cli("check", str(at.swlb.file)).stdout.split())
    assert "replies pass swlb by for" in said
    assert "a server that calls the VIP and is chosen itself is one" in said


@pytest.fixture(scope="module")
def masqueraded(tmp_path_factory):
    """A routed site whose servers' segment masquerades, and a host far beyond the client, which is a router."""

    def change(config):
        config["segments"]["inside"]["masquerade"] = "on"
        config["routes"] = [{"to": "10.0.9.0/24", "via": "10.0.1.10"}, {"to": "fd00:9::/64", "via": "fd00:1::10"}]

    with made_namespaces() as make, site(Routed, make, tmp_path_factory.mktemp("far"), change=change) as at:
        far = Host("far", make(), "eth0", ("10.0.9.9/24", "fd00:9::9/64"), ("10.0.9.1", "fd00:9::1"))
        lay_wire(far, at.client.netns, "far")
        far.configure()
        Host("router", at.client.netns, "far", ("10.0.9.1/24", "fd00:9::1/64")).configure()
        done = at.client.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        assert done.returncode == 0
        # Forwarding takes away what was learnt of routers.
        at.client.configure()
        yield at, far


@FAMILIES
def test_what_servers_begin_gets_far_and_is_answered_and_comes_from_swlb(masqueraded, family):
    at, far = masqueraded
    web1, target = at["web1"], FAR[family]
    with http_server(far, target, PORT), udp_echo(far, target, PORT), capturing(far) as capture:
        assert get(web1, target, PORT).peer[0] == Routed.routers[family]
        assert echoed(web1, target, PORT, bytes(1400)) == "far"
        assert ping(web1, target) == target
    layer = IP if family == 4 else IPv6
    arrived = {Ether(frame.data)[layer].src for frame in capture.packets(outgoing=False)
               if layer in Ether(frame.data) and Ether(frame.data)[layer].dst == target}  # fmt: skip
    neighbour = {4: "10.0.9.1", 6: "fd00:9::1"}[family]  # which speaks for itself, in neighbour discovery
    assert arrived - {neighbour} == {Routed.routers[family]}


@FAMILIES
def test_servers_trace_the_route_through_the_masquerade(masqueraded, family):
    at, _ = masqueraded
    inside = {4: "10.0.2.1", 6: "fd00:2::1"}[family]
    probes = [probe_with_ttl(at["web1"], FAR[family], CLOSED, ttl) for ttl in (1, 2, 3)]
    assert [probe.sender for probe in probes] == [inside, at.client.address(family), FAR[family]]
    answers = [(probe.type, probe.code) for probe in probes]
    assert answers == [TIME_EXCEEDED[family], TIME_EXCEEDED[family], PORT_UNREACHABLE[family]]


def claim(of: Host, family: int, vip: str) -> bytes:
    """The host's announcement to all that the VIP is its own."""
    if family == 4:
        return bytes(Ether(src=of.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=2, hwsrc=of.mac, psrc=vip, pdst=vip))
    return bytes(Ether(src=of.mac, dst="33:33:00:00:00:01") / IPv6(src=vip, dst="ff02::1", hlim=255)
                 / ICMPv6ND_NA(R=0, S=0, O=1, tgt=vip) / ICMPv6NDOptDstLLAddr(lladdr=of.mac))  # fmt: skip


@contextmanager
def guarded(make_netns, directory, guard):
    def change(config):
        config["segments"]["lan"]["vip_guard"] = guard

    with site(Transparent, make_netns, directory, change=change) as at:
        yield at


@pytest.mark.parametrize("guard", [True, False])
def test_a_server_that_claims_the_vip_is_told_of_and_gets_no_further_where_vip_guard_is_on(make_netns, tmp_path, guard):
    with guarded(make_netns, tmp_path, guard) as at:
        web1 = at["web1"]
        claims = [claim(web1, family, Transparent.vips[family]) for family in (4, 6)]
        with capturing(at.client) as capture, closing(web1.socket(socket.AF_PACKET, socket.SOCK_RAW)) as sock:
            sock.bind((web1.device, 0))
            for data in claims:
                sock.send(data)
            wait_until(lambda: len(at.swlb.events("vip_conflict")) == 2, "both claims told of")
        heard = [data for data in claims if data in (frame.data for frame in capture.frames)]
        assert heard == ([] if guard else claims)
        wait_until(lambda: at.swlb.drops()["vip_guarded"] == (2 if guard else 0), "guarded ones counted")
        assert all(web1.mac in event["text"] for event in at.swlb.events("vip_conflict"))


@pytest.fixture(scope="module")
def tunnelled(tmp_path_factory):
    """Servers behind GUE tunnels, which all serve."""
    (gue,) = (mode for mode in MODES if mode.name == "gue")
    with made_namespaces() as make, standing(gue, make, tmp_path_factory.mktemp("gue")) as at, serving(at):
        yield at


@pytest.mark.parametrize("inside", [4, 6])
@FAMILIES
def test_an_ip_packet_in_another_sent_to_the_vip_is_dropped_and_counted(tunnelled, family, inside):
    at = tunnelled
    before = at.swlb.drops()["vip_protocol"]
    packet = (IP if inside == 4 else IPv6)(src=at.client.address(inside), dst=at.vip(inside)) / UDP(dport=7)
    protocol = socket.IPPROTO_IPIP if inside == 4 else socket.IPPROTO_IPV6
    with closing(at.client.socket(family, socket.SOCK_RAW, protocol)) as sock:
        sock.sendto(bytes(packet), (at.vip(family), 0))
    wait_until(lambda: at.swlb.drops()["vip_protocol"] == before + 1, "counted")


@FAMILIES
def test_gue_sent_to_the_vip_is_refused_and_counted(tunnelled, family):
    at = tunnelled
    before = at.swlb.drops()["no_service"]
    with udp_client(at.client, at.vip(family), 6080) as sock:
        error = icmp_error(sock, bytes([0, socket.IPPROTO_IPIP, 0, 0]) + bytes(IP() / UDP()))
    assert (error.type, error.code) == PORT_UNREACHABLE[family]
    wait_until(lambda: at.swlb.drops()["no_service"] == before + 1, "counted")
