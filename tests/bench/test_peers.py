"""What the peers are configured with, as far as it can be judged without starting them."""

import json

from swlb.config import parse

from .peers import PEERS, swlb_configuration
from .servers import PACKETS_PORT, TCP_PORTS


def test_swlb_accepts_its_configuration_and_serves_every_port_the_figures_use() -> None:
    text = json.dumps(swlb_configuration("client", "server"))
    config = parse(text, file="bench", namespaces=["client", "server"])
    served = {(service.protocol, service.port_first) for service in config.services.values()}
    assert served == {("tcp", port) for port in TCP_PORTS} | {("udp", PACKETS_PORT)}


def test_haproxy_alone_cannot_carry_udp() -> None:
    assert [name for name, peer in PEERS.items() if not peer.carries_udp] == ["haproxy"]
