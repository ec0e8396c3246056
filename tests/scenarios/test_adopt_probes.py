"""Probes through a VIP while a worker takes over: a pin names the double of the same server before and after."""

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from .reloaded import SERVERS, Farm, config, service

PROBED = {"check": "{type: tcp, via: vip, response: 2s, interval: 10s}"}


def probe(farm: Farm, l4_port: int, flags: str = "S") -> str:
    """swlb's own kernel calls the VIP from that port; which server gets it."""
    mac = farm.site.built.macs["outside"].hex(":")
    packet = IP(src="10.0.1.1", dst="10.0.1.100") / TCP(sport=l4_port, dport=80, flags=flags)
    farm.site.put("outside/host", Ether(src=mac, dst=mac) / packet)
    frames = farm.site.taken("servers")
    assert len(frames) == 1
    return next(name for name, address in SERVERS.items() if address == Ether(frames[0])[IP].dst)


def pin(farm: Farm, l4_port: int, server: str) -> None:
    farm.site.built.pin_table.set(6, l4_port, farm.site.built.doubles["web", server])


def test_a_pin_means_the_same_server_after_others_came_and_went():
    farm = Farm(config(web=service(["web1", "web2", "web3"], **PROBED)))
    pin(farm, 60000, "web2")
    pin(farm, 60001, "web3")
    assert probe(farm, 60000) == "web2"
    four = service(["web4", "web3", "web2", "web5"], **PROBED)
    farm.site.take_over(config(web=four, more=service(["web1"], port=81)))
    assert probe(farm, 60000, "A") == "web2"
    assert probe(farm, 60001) == "web3"
    pin(farm, 60002, "web5")
    assert probe(farm, 60002) == "web5"
    assert {farm.site.server(name)["sessions_total"] for name in ("web2", "web3", "web5")} == {0}


def test_the_double_of_a_server_that_left_begins_nothing():
    farm = Farm(config(web=service(["web1", "web2"], **PROBED)))
    pin(farm, 60000, "web2")
    farm.site.built.workers.set_server(farm.site.built.servers["web", "web1"], ready=1, weight=1)
    farm.site.take_over(config(web=service(["web1"], **PROBED)))
    assert probe(farm, 60000) == "web1"


def test_a_service_may_be_probed_from_now_on_or_no_longer():
    farm = Farm(config(web=service(["web1", "web2"])))
    chosen = farm.open(4000)
    farm.site.take_over(config(web=service(["web1", "web2"], **PROBED)))
    pin(farm, 60000, "web2")
    assert probe(farm, 60000) == "web2"
    farm.site.take_over(config(web=service(["web1", "web2"])))
    assert farm.site.built.doubles == {}
    farm.talk(chosen, 4000)
    farm.site.take_over(config(web=service(["web1", "web2"], **PROBED)))
    farm.talk(chosen, 4000)
