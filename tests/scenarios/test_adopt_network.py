"""Segments, ports, addresses and routes that stay, come and go while a worker forwards."""

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

from .reloaded import Farm, Site, config, service

WEB = service(["web1", "web2"])
THIRD_PORT = {"ports": ", third: {tap: tt}", "segments": "  third: {ports: [third], addresses: [10.0.3.1/24]}\n"}


def asks(site: Site, port: str, address: str, *, mac: str = "02:cc:00:00:00:01") -> Ether:
    """A question for swlb's address, from a station behind the port."""
    sender = address.rsplit(".", 1)[0] + ".77"
    return Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc=sender, pdst=address)


def answers(site: Site, port: str, address: str) -> bool:
    """Whether swlb answers for the address."""
    site.put(port, asks(site, port, address))
    frames = [Ether(frame) for frame in site.taken(port)]
    return any(ARP in frame and frame[ARP].op == 2 and frame[ARP].psrc == address for frame in frames)


def test_what_stations_and_neighbours_are_known_is_kept():
    farm = Farm(config(web=WEB))
    farm.open(4000)
    site = farm.site
    stations = {name: site.built.workers.fdb(index, now_ns=site.now_ns) for name, index in site.built.segments.items()}
    neighbours = site.built.workers.neighbours(now_ns=site.now_ns)
    site.take_over(config(web=WEB, **THIRD_PORT))
    for name, known in stations.items():
        assert site.built.workers.fdb(site.built.segments[name], now_ns=site.now_ns) == known
    assert len(stations["inside"]) == len(farm.servers)
    assert site.built.workers.neighbours(now_ns=site.now_ns) == neighbours


def test_a_segment_that_comes_forwards_and_one_that_left_does_not():
    farm = Farm(config(web=WEB))
    site = farm.site
    chosen = farm.open(4000)
    site.take_over(config(web=WEB, **THIRD_PORT))
    third = site.host("third", "10.0.3.10")
    third.send(third.packet(farm.client.address, protocol="udp", sport=5, dport=6))
    assert len(site.taken("client")) == 1
    # Two reloads: the second takes an index that the first has freed.
    index = site.built.ports["third"]
    site.take_over(config(web=WEB))
    assert "third" not in site.built.ports
    assert site.built.workers.port(index)["up"] is False
    site.put("client", farm.client.received(IP(src="10.0.1.10", dst="10.0.3.10") / UDP())[6:12]
             + b"\x02\xbb\x0a\x00\x01\x0a" + b"\x08\x00" + bytes(IP(src="10.0.1.10", dst="10.0.3.10") / UDP()))
    assert site.drops()["no_route"] == 1
    site.discard()
    site.take_over(config(web=WEB, **THIRD_PORT))
    third = site.host("third", "10.0.3.10")
    third.send(third.packet(farm.client.address, protocol="udp", sport=5, dport=6))
    assert len(site.taken("client")) == 1
    farm.talk(chosen, 4000)


def test_stations_behind_a_port_that_left_are_forgotten():
    two = {"ports": ", second: {tap: t2}"}
    both = config(web=WEB, **two).replace("ports: [servers]", "ports: [servers, second]")
    farm = Farm(both)
    site = farm.site
    moved = site.host("second", "10.0.2.50")
    inside = site.built.segments["inside"]
    assert site.built.ports["second"] in {row[2] for row in site.built.workers.fdb(inside, now_ns=site.now_ns)}
    site.take_over(config(web=WEB))
    assert {row[2] for row in site.built.workers.fdb(inside, now_ns=site.now_ns)} == {site.built.ports["servers"]}
    # Its frames are flooded now, as of a station that nobody knows.
    farm.client.send(farm.client.packet(moved.address, protocol="udp", sport=5, dport=6))
    assert len(site.taken("servers")) == 1


def test_a_port_may_go_to_another_segment():
    spare = {"ports": ", second: {tap: t2}"}
    before = config(web=WEB, **spare).replace("ports: [servers]", "ports: [servers, second]")
    after = config(web=WEB, **spare).replace("ports: [client]", "ports: [client, second]")
    farm = Farm(before)
    chosen = farm.open(4000)
    host = farm.site.host("second", "10.0.2.50")
    farm.site.take_over(after)
    host = farm.site.host("second", "10.0.1.50")
    host.send(host.packet("10.0.1.100", sport=9000))
    assert len(farm.site.taken("servers")) == 1
    farm.talk(chosen, 4000)


def test_a_larger_fdb_keeps_its_stations_and_a_smaller_one_the_newest():
    farm = Farm(config(web=WEB, inside="addresses: [10.0.2.1/24], fdb_limit: 100"))
    site = farm.site
    inside = site.built.segments["inside"]
    known = {row[0] for row in site.built.workers.fdb(inside, now_ns=site.now_ns)}
    site.take_over(config(web=WEB, inside="addresses: [10.0.2.1/24], fdb_limit: 200"))
    assert {row[0] for row in site.built.workers.fdb(inside, now_ns=site.now_ns)} == known
    site.take_over(config(web=WEB, inside="addresses: [10.0.2.1/24], fdb_limit: 4"))
    newest = {bytes.fromhex(host.mac.replace(":", "")) for host in list(farm.servers.values())[-4:]}
    assert {row[0] for row in site.built.workers.fdb(inside, now_ns=site.now_ns)} == newest


def test_addresses_come_and_go_and_the_segment_keeps_its_mac():
    farm = Farm(config(web=WEB))
    site = farm.site
    chosen, macs = farm.open(4000), dict(site.built.macs)
    assert not answers(site, "client", "10.0.9.1")
    site.discard()
    site.take_over(config(web=WEB, outside="addresses: [10.0.1.1/24, 10.0.9.1/24]"))
    assert site.built.macs == macs
    assert answers(site, "client", "10.0.9.1")
    farm.talk(chosen, 4000)
    site.take_over(config(web=WEB))
    assert not answers(site, "client", "10.0.9.1")
    site.discard()
    farm.talk(chosen, 4000)


def test_routes_come_and_go():
    farm = Farm(config(web=WEB))
    site = farm.site
    packet = farm.client.packet("192.0.2.1", protocol="udp", sport=5, dport=6)
    farm.client.send(packet)
    assert site.drops() == {"no_route": 1}
    site.discard()
    site.take_over(config(web=WEB, routes="routes: [{to: 192.0.2.0/24, via: 10.0.2.11}]\n"))
    farm.client.send(packet)
    packet.ttl -= 1
    assert site.taken("servers") == [farm.servers["web1"].received(packet)]
    site.take_over(config(web=WEB))
    farm.client.send(packet)
    assert site.drops() == {"no_route": 1}


def test_frames_that_wait_for_a_neighbour_on_a_segment_that_left_are_counted():
    farm = Farm(config(web=WEB, **THIRD_PORT))
    site = farm.site
    for host in (10, 11):
        farm.client.send(farm.client.packet(f"10.0.3.{host}", protocol="udp", sport=5, dport=6))
    site.discard()
    site.take_over(config(web=WEB))
    site.wait(5.0)
    assert site.drops() == {"neighbour_queue": 2}
    assert site.taken("client") == []


def test_a_frame_waits_on_for_a_neighbour_of_a_segment_that_stays():
    farm = Farm(config(web=WEB))
    site = farm.site
    farm.client.send(farm.client.packet("10.0.2.99", protocol="udp", sport=5, dport=6))
    site.discard()
    site.take_over(config(web=WEB, **THIRD_PORT))
    site.put("servers", asks(site, "servers", "10.0.2.1", mac="02:cc:00:00:00:63").__class__(
        src="02:cc:00:00:00:63", dst=site.built.macs["inside"].hex(":"))
        / ARP(op=2, hwsrc="02:cc:00:00:00:63", psrc="10.0.2.99", pdst="10.0.2.1"))
    frames = [Ether(frame) for frame in site.taken("servers")]
    assert [frame[IP].dst for frame in frames if IP in frame] == ["10.0.2.99"]


def test_idle_times_and_rates_are_the_new_ones():
    farm = Farm(config(web=WEB))
    farm.open(4000)
    farm.site.take_over(config(web=service(["web1", "web2"], timeouts="{tcp_established: 60s}")))
    farm.site.wait(70.0, step=1.0)
    assert farm.site.sessions() == {}
