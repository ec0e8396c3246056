"""Times are kept in milliseconds modulo 2^32. What happens once in 49.7 days happens as at any other time."""

import pytest
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from .network import Network
from .shapes import V4, router

WRAP_S = 2**32 / 1000
EVERYONE = "ff:ff:ff:ff:ff:ff"


def sleep_for(net: Network, seconds: float) -> None:
    net.wait(seconds, step=WRAP_S / 100)


def claim(address: str) -> Packet:
    """A stranger says that it has the address."""
    mac = "02:cc:00:00:00:01"
    return Ether(src=mac, dst=EVERYONE) / ARP(op=1, hwsrc=mac, psrc=address, pdst=address)


@pytest.mark.parametrize("address", [V4.vip, V4.outside])
def test_a_conflict_is_told_again_after_a_turn_of_the_clock(address):
    net = router()
    for _ in range(2):
        net.send("client", claim(address))
        assert [event["ip"] for event in net.events()] == [address]
        sleep_for(net, WRAP_S + 1)


def test_an_error_may_be_sent_again_after_a_turn_of_the_clock():
    net = router(icmp_errors=1)
    client = net.station("client", V4.client)
    for n in (1, 0):
        client.send(*(V4.udp(V4.client, "198.51.100.7") for _ in range(1 + n)))
        assert len(net.take("client")) == 1
        sleep_for(net, WRAP_S)
