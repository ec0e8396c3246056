"""What the peers are configured with, as far as it can be judged without starting them."""

import json

import pytest

from swlb.bench import ours
from swlb.bench.peers import DEFAULT_PEERS, ON_REQUEST, PEERS, missing
from swlb.bench.servers import PACKETS_PORT, TCP_PORTS
from swlb.config import Config, parse


def accepted(configuration: ours.Configuration) -> Config:
    return parse(json.dumps(configuration), file="bench", namespaces=["client", "server"])


@pytest.mark.parametrize("configure", [ours.routed, ours.transparent])
def test_swlb_accepts_its_configuration_and_serves_every_port_the_figures_use(configure) -> None:
    config = accepted(configure("client", "server"))
    served = {(service.protocol, service.port_first) for service in config.services.values()}
    assert served == {("tcp", port) for port in TCP_PORTS} | {("udp", PACKETS_PORT)}


def test_swlb_as_a_switch_has_neither_services_nor_addresses() -> None:
    config = accepted(ours.switch("client", "server"))
    assert not config.services
    assert [list(segment.addresses) for segment in config.segments.values()] == [[]]


def test_the_large_configuration_is_accepted_and_has_as_many_checked_servers_as_it_says() -> None:
    config = accepted(ours.large("client", "server", services=100, servers=10))
    servers = [server.address for service in config.services.values() for server in service.servers.values()]
    assert len(config.services) == 100
    assert len(servers) == len(set(servers)) == 1000
    assert {check.type for service in config.services.values() for check in service.checks} == {"tcp"}


def test_workers_are_named_only_when_there_are_several() -> None:
    assert "workers" not in ours.routed("client", "server")
    assert ours.routed("client", "server", workers=2)["workers"] == 2


def test_haproxy_cannot_carry_udp_and_into_a_tun_the_sender_s_frames_do_not_fit() -> None:
    assert [name for name, peer in PEERS.items() if not peer.carries_udp] == ["swlb-tun", "haproxy"]


def test_every_peer_is_measured_by_default_but_those_on_request() -> None:
    assert set(DEFAULT_PEERS) == set(PEERS) - set(ON_REQUEST)
    assert set(ON_REQUEST) <= set(PEERS)


def test_what_a_peer_lacks_is_named_whether_program_or_file() -> None:
    assert missing(("sh", "/dev/null", "no-such-program", "/no/such/file")) == ["no-such-program", "/no/such/file"]
