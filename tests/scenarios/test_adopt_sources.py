"""Addresses that stand for clients, and for hosts of a segment that masquerades, while a worker takes over."""

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether

from .reloaded import Farm, config, service

POOLED = {"source_nat": "always", "source_pool": "[10.0.2.200]"}


def asked(farm: Farm, sport: int, flags: str = "S") -> IP:
    """The client's packet to the VIP as a server gets it."""
    farm.client.send(farm.client.packet("10.0.1.100", sport=sport, flags=flags))
    frames = farm.site.taken("servers")
    assert len(frames) == 1
    return Ether(frames[0])[IP]


def answered(farm: Farm, request: IP, sport: int) -> bool:
    """Whether the server's answer reaches the client's port from the VIP."""
    host = next(host for host in farm.servers.values() if host.address == request.dst)
    host.send(IP(src=request.dst, dst=request.src) / TCP(sport=8080, dport=request[TCP].sport, flags="SA"))
    frames = [Ether(frame)[IP] for frame in farm.site.taken("client")]
    return [(p.src, p.dst, p[TCP].sport, p[TCP].dport) for p in frames] == [("10.0.1.100", "10.0.1.10", 80, sport)]


def has(farm: Farm, address: str) -> bool:
    """Whether swlb answers for the address on the servers' segment."""
    mac = "02:cc:00:00:00:01"
    farm.site.put("servers", Ether(src=mac, dst="ff:ff:ff:ff:ff:ff")
                  / ARP(op=1, hwsrc=mac, psrc="10.0.2.77", pdst=address))
    return any(Ether(frame)[ARP].op == 2 for frame in farm.site.taken("servers") if ARP in Ether(frame))


def test_a_session_keeps_the_port_that_stands_for_its_client():
    farm = Farm(config(web=service(["web1"], **POOLED)))
    first = asked(farm, 4000)
    pooled = {"source_nat": "always", "source_pool": "[10.0.2.201, 10.0.2.200]"}
    farm.site.take_over(config(web=service(["web1", "web2"], **pooled)))
    again = asked(farm, 4000)
    assert (again.src, again[TCP].sport) == (first.src, first[TCP].sport) == ("10.0.2.200", first[TCP].sport)
    assert answered(farm, first, 4000)
    ports = {(p.src, p[TCP].sport) for p in (asked(farm, sport) for sport in range(4001, 4101))}
    assert len(ports) == 100
    assert (first.src, first[TCP].sport) not in ports


def test_an_address_that_left_stands_for_the_sessions_it_has_and_then_is_nobodys():
    farm = Farm(config(web=service(["web1"], **POOLED)))
    first = asked(farm, 4000)
    farm.site.take_over(config(web=service(["web1"], source_nat="always", source_pool="[10.0.2.201]")))
    assert answered(farm, first, 4000)
    assert asked(farm, 4001).src == "10.0.2.201"
    assert has(farm, "10.0.2.200")
    farm.site.built.workers.flush_sessions()
    farm.site.wait(0.2)
    assert not has(farm, "10.0.2.200")
    assert has(farm, "10.0.2.201")
    farm.site.audit()


def test_a_port_that_others_give_is_given_by_nobody_after_it_is_free_again():
    """Which ports are left to the kernel changes with the configuration; a session has one of them meanwhile."""
    listed = {"source_nat": "always", "source_pool": "[10.0.2.200]"}
    farm = Farm(config(web=service(["web1"], source_ports='"5000-5001"', **listed)))
    first = asked(farm, 4000)
    farm.site.take_over(config(web=service(["web1"], source_ports='"5000-5002"', **listed)))
    others = {asked(farm, sport)[TCP].sport for sport in (4001, 4002)}
    assert others | {first[TCP].sport} == {5000, 5001, 5002}
    farm.site.built.workers.flush_sessions()
    assert {asked(farm, sport)[TCP].sport for sport in (4003, 4004, 4005)} == {5000, 5001, 5002}


def test_what_a_host_has_begun_as_another_goes_on():
    inside = "addresses: [10.0.2.1/24], masquerade: on"
    farm = Farm(config(web=service(["web1"]), inside=inside))
    host = farm.servers["web9"]
    host.send(IP(src=host.address, dst="10.0.1.10") / UDP(sport=5000, dport=53) / b"ask")
    seen = Ether(farm.site.taken("client")[0])[IP]
    assert seen.src == "10.0.1.1"
    farm.site.take_over(config(web=service(["web2"]), inside=inside, ports=", more: {tap: tm}",
                               segments="  more: {ports: [more], addresses: [10.0.7.1/24]}\n"))
    farm.client.send(IP(src="10.0.1.10", dst=seen.src) / UDP(sport=53, dport=seen[UDP].sport) / b"answer")
    answer = Ether(farm.site.taken("servers")[0])[IP]
    assert (answer.dst, answer[UDP].dport) == (host.address, 5000)


def test_more_addresses_than_there_is_room_for_are_refused_before_anything_changes():
    """Sessions hold 130 that are not in the configuration any more, and 200 are to come in the place of 200."""
    def pools(net: int, n: int) -> str:
        services = {}
        for number in range(n):
            pool = ", ".join(f"10.0.{net + number // 10}.{100 + number % 10 * 10 + i}" for i in range(10))
            services[f"s{number}"] = service(["web1"], port=100 + number, source_nat="always", source_pool=f"[{pool}]",
                                             source_ports='"5000-5001"')
        wide = ", ".join(f"10.0.{net}.1/24" for net in (2, 20, 21, 30, 31, 40, 41))
        return config(inside=f"addresses: [{wide}]", **services)

    farm = Farm(pools(20, 13))
    for number in range(13):
        for sport in range(4000, 4020):
            farm.client.send(farm.client.packet("10.0.1.100", sport=sport, dport=100 + number))
    farm.site.take_over(pools(30, 20))
    farm.site.discard()
    before = farm.site.built
    with pytest.raises(ValueError, match="sessions still use"):
        farm.site.take_over(pools(40, 20))
    assert farm.site.built is before
    farm.client.send(farm.client.packet("10.0.1.100", sport=5000, dport=100))
    assert Ether(farm.site.taken("servers")[0])[IP].src == "10.0.30.100"
    farm.site.built.workers.flush_sessions()
    farm.site.take_over(pools(40, 20))
