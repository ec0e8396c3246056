"""VLANs of ports in a configuration: built into workers, changed while they run, and shared by several of them."""

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Dot1Q, Ether

from .reloaded import Site

MACS = {"client": "02:cc:00:00:00:01", "server": "02:cc:00:00:00:02"}
ALL = "ff:ff:ff:ff:ff:ff"


def config(*, outside: str = "trunk.10", inside: str = "trunk.20", more: str = "", workers: int = 1) -> str:
    return (f"mode: routed\nworkers: {workers}\nlimits: {{sessions: 1000}}\n"
            "ports: {trunk: {tap: swt}, host: {tap: swh}}\nsegments:\n"
            f"  outside: {{ports: [{outside}], addresses: [10.0.1.1/24]}}\n"
            f"  inside: {{ports: [{inside}, host], addresses: [10.0.2.1/24]}}\n{more}"
            "services:\n  web: {vip: 10.0.1.100, port: 80, source_nat: never,\n"
            "        servers: {web1: {address: 10.0.2.11, port: 8080}}}\n")


def greet(site: Site, *, client: int = 10, server: int = 20) -> None:
    """Client and server have asked for swlb's addresses, in their VLANs."""
    for who, vid, ip, own in (("client", client, "10.0.1.10", "10.0.1.1"), ("server", server, "10.0.2.11", "10.0.2.1")):
        site.put("trunk", Ether(src=MACS[who], dst=ALL) / Dot1Q(vlan=vid) / ARP(hwsrc=MACS[who], psrc=ip, pdst=own))
    site.turn()
    site.discard()


def ask(site: Site, flags: str, *, vid: int = 10, prio: int = 0, sport: int = 1024) -> list[Ether]:
    """What leaves by the trunk for the client's packet to the VIP."""
    mac = site.built.macs["outside"].hex(":")
    site.put("trunk", Ether(src=MACS["client"], dst=mac) / Dot1Q(vlan=vid, prio=prio)
             / IP(src="10.0.1.10", dst="10.0.1.100") / TCP(sport=sport, dport=80, flags=flags))
    return [Ether(raw) for raw in site.taken("trunk")]


def test_a_session_goes_on_when_its_segments_change_vlans() -> None:
    site = Site(config())
    greet(site)
    (syn,) = ask(site, "S")
    assert (syn[Dot1Q].vlan, syn[IP].dst, syn[TCP].flags) == (20, "10.0.2.11", "S")
    site.take_over(config(outside="trunk.11", inside="trunk.21"))
    assert ask(site, "A") == []
    assert site.drops() == {"not_member": 1}
    greet(site, client=11, server=21)
    (ack,) = ask(site, "A", vid=11)
    assert (ack[Dot1Q].vlan, ack[IP].dst, ack[TCP].dport) == (21, "10.0.2.11", 8080)
    assert len(site.sessions()) == 1


def test_vlans_come_and_go_beside_those_that_stay() -> None:
    site = Site(config())
    greet(site)
    assert len(ask(site, "S")) == 1
    index = dict(site.built.ports)
    site.take_over(config(more="  third: {ports: [trunk.30]}\n  native: {ports: [trunk]}\n"))
    assert {name: site.built.ports[name] for name in index} == index
    assert [frame[Dot1Q].vlan for frame in ask(site, "A")] == [20]
    site.put("trunk", Ether(src=MACS["client"], dst=ALL) / b"untagged")
    assert site.drops() == {"nowhere": 1}
    stations = {name: site.built.workers.fdb(site.built.segments[name], now_ns=site.now_ns) for name in
                ("inside", "native")}
    assert [row[2] for row in stations["inside"]] == [site.built.ports["trunk.20"]]
    assert [row[2] for row in stations["native"]] == [site.built.ports["trunk"]]
    site.take_over(config())
    site.put("trunk", Ether(src=MACS["client"], dst=ALL) / b"untagged")
    site.put("trunk", Ether(src=MACS["client"], dst=ALL) / Dot1Q(vlan=30) / b"tagged")
    assert site.drops() == {"not_member": 2}
    assert [frame[Dot1Q].vlan for frame in ask(site, "A")] == [20]


def test_a_segment_takes_a_port_untagged_that_it_had_by_a_vlan() -> None:
    site = Site(config())
    greet(site)
    site.take_over(config(outside="trunk"))
    assert ask(site, "S") == []
    assert site.drops() == {"not_member": 1}
    site.put("trunk", Ether(src=MACS["client"], dst=ALL) / ARP(hwsrc=MACS["client"], psrc="10.0.1.10", pdst="10.0.1.1"))
    (reply,) = site.taken("trunk")
    assert ARP in Ether(reply)
    assert Dot1Q not in Ether(reply)


def test_a_host_beside_a_vlan_may_not_tag_what_it_sends() -> None:
    site = Site(config())
    site.put("host", Ether(src=MACS["server"], dst=ALL) / Dot1Q(vlan=20) / b"data")
    assert site.drops() == {"not_member": 1}
    site.put("host", Ether(src=MACS["server"], dst=ALL) / b"data")
    (copy,) = site.taken("trunk")
    assert Ether(copy)[Dot1Q].vlan == 20


def test_what_one_worker_hands_to_another_keeps_its_vlan_and_priority() -> None:
    site = Site(config(workers=3))
    greet(site)
    for sport in range(1024, 1040):
        (syn,) = ask(site, "S", prio=5, sport=sport)
        assert (syn[Dot1Q].vlan, syn[Dot1Q].prio, syn[IP].dst) == (20, 5, "10.0.2.11")
    assert sum(worker.counters()["sessions"] > 0 for worker in site.built.workers) == 3
