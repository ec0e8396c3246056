"""No client that asks from one port for ever stays with a server that is gone, in any way of forwarding."""

from collections.abc import Callable

import pytest

from .balanced import Scene, ip, routed, transparent
from .frames import UDP
from .layout import DRAIN, MAINT, UP
from .reloaded import Farm, config, service
from .test_dsr import dsr
from .test_source_nat import Scene as SourceNat
from .tunnelled import tunnelled

WAYS: dict[str, Callable[[], object]] = {
    "routed": lambda: routed(4, protocol="udp", n_servers=2),
    "routed-v6": lambda: routed(6, protocol="udp", n_servers=2),
    "transparent": lambda: transparent(4, protocol="udp", n_servers=2),
    "source-nat": lambda: SourceNat(4, protocol="udp", source_nat="always"),
    "dsr": lambda: dsr(routed, 4, protocol="udp", n_servers=2),
    "ipip": lambda: tunnelled("ipip", 4, 4, protocol="udp", n_servers=2),
    "gue": lambda: tunnelled("gue", 6, 4, protocol="udp", n_servers=2),
}
EACH_WAY = pytest.mark.parametrize("make", WAYS.values(), ids=WAYS)
GONE = pytest.mark.parametrize("ready", [0, UP | MAINT, MAINT], ids=["down", "maint", "down in maint"])


def reached(scene: object) -> int | None:
    """Which server gets the next datagram from the client's one port, by the MAC its frame is for."""
    scene.client.send(ip(scene.client.addresses[0], scene.vip) / UDP(sport=40000, dport=80) / b"question")
    ports = dict.fromkeys(server.port for server in scene.servers)
    macs = [frame.dst for port in ports for frame in scene.net.take(port)]
    assert len(macs) <= 1
    return next((n for n, server in enumerate(scene.servers) if [server.mac] == macs), None)


@EACH_WAY
@GONE
def test_the_next_datagram_after_a_server_went_down_goes_to_another(make: Callable, ready: int) -> None:
    scene = make()
    assert [reached(scene) for _ in range(3)] == [0, 0, 0]
    scene.net.set_server(0, ready=ready)
    assert [reached(scene) for _ in range(3)] == [1, 1, 1]
    scene.net.set_server(0)
    assert reached(scene) == 1


@EACH_WAY
@pytest.mark.parametrize(("ready", "weight"), [(UP | DRAIN, 1), (UP, 0)], ids=["drain", "weight 0"])
def test_a_server_that_takes_nothing_new_keeps_whom_it_has_until_it_goes_down(
    make: Callable, ready: int, weight: int
) -> None:
    scene = make()
    assert reached(scene) == 0
    scene.net.set_server(0, ready=ready, weight=weight)
    assert [reached(scene) for _ in range(3)] == [0, 0, 0]
    scene.net.set_server(0, ready=ready & ~UP, weight=weight)
    assert reached(scene) == 1


@pytest.mark.parametrize("given", [{"requests": 1}, {"responses": 1}], ids=str)
@pytest.mark.parametrize(("ready", "weight"), [(UP | DRAIN, 1), (UP, 0)], ids=["drain", "weight 0"])
def test_a_client_that_is_scheduled_anew_leaves_it_at_once(given: dict, ready: int, weight: int) -> None:
    scene = routed(4, protocol="udp", n_servers=2, **given)
    assert scene.call() == 0
    scene.answer(0)
    scene.net.set_server(0, ready=ready, weight=weight)
    assert scene.call() == 1
    scene.answer(1)
    assert scene.call() == 1


def test_a_reply_of_a_server_that_has_just_gone_down_still_reaches_the_client() -> None:
    scene: Scene = routed(4, protocol="udp", n_servers=2)
    assert scene.call() == 0
    scene.net.set_server(0, ready=0)
    scene.answer(0)
    assert scene.call() == 1
    scene.answer(1)


@pytest.mark.parametrize("given", [{}, {"source_nat": "always"}, {"one_packet": "true"}, {"responses": 1}], ids=str)
def test_a_resolver_with_one_port_leaves_a_server_that_a_reload_removes(given: dict) -> None:
    def of(*names: str) -> str:
        return config(dns=service(list(names), protocol="udp", **given))

    farm = Farm(of("web1", "web2"))
    ask = _ask_in_whose_name_ever if "source_nat" in given else Farm.ask
    assert ask(farm, 4000, protocol="udp") == "web1"
    farm.site.take_over(of("web2"))
    assert [ask(farm, 4000, protocol="udp") for _ in range(3)] == ["web2"] * 3
    farm.site.take_over(of("web2", "web3"))
    farm.site.take_over(of("web3"))
    assert [ask(farm, 4000, protocol="udp") for _ in range(3)] == ["web3"] * 3


def _ask_in_whose_name_ever(farm: Farm, sport: int, *, protocol: str) -> str:
    """Farm.ask where servers do not see the client."""
    farm.client.send(farm.client.packet("10.0.1.100", protocol=protocol, sport=sport))
    (frame,) = farm.site.taken("servers")
    return next(name for name, host in farm.servers.items() if frame[:6] == bytes.fromhex(host.mac.replace(":", "")))


def test_what_a_reload_says_of_datagrams_holds_from_the_next_one_on() -> None:
    def of(**given: object) -> str:
        return config(dns=service(["web1", "web2"], protocol="udp", **given))

    farm = Farm(of())
    assert [farm.ask(4000, protocol="udp") for _ in range(2)] == ["web1", "web1"]
    farm.site.take_over(of(one_packet="true"))
    assert [farm.ask(4000, protocol="udp") for _ in range(3)] == ["web2", "web1", "web2"]
    farm.answer("web1", 4000, protocol="udp")
    farm.site.take_over(of())
    assert len({farm.ask(4000, protocol="udp") for _ in range(4)}) == 1
    farm.answer("web1", 4000, protocol="udp")
    farm.answer("web2", 4000, protocol="udp")
