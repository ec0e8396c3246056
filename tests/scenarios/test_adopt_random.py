"""Random configurations, one after the other, with traffic in between; a plain model says what has to become of it.

The model knows which connection is with which server, and which servers may be given a new one. That is all a client
can see of a reload. Tables are audited after each.
"""

import random
from dataclasses import dataclass, field

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from .reloaded import SERVERS, Farm, config, service

STEPS = 60
VIPS = ("10.0.1.100", "10.0.1.101")
Where = tuple[str, int]  # VIP and port


@dataclass
class Shape:
    """A configuration: which servers each service has, by its VIP and port."""

    services: dict[Where, list[str]]
    third: bool
    order: list[Where]
    fdb_limit: int

    def text(self) -> str:
        third = {"ports": ", third: {tap: tt}",
                 "segments": "  third: {ports: [third], addresses: [10.0.3.1/24]}\n"} if self.third else {}
        listed = {f"s{vip[-1]}x{port}": service(self.services[vip, port], vip=vip, port=port)
                  for vip, port in self.order}
        return config(inside=f"addresses: [10.0.2.1/24], fdb_limit: {self.fdb_limit}", **listed, **third)


@dataclass
class Model:
    """What must be: connections by client's port and where it called, and who serves there now."""

    services: dict[Where, list[str]] = field(default_factory=dict)
    connections: dict[tuple[int, Where], str] = field(default_factory=dict)
    orphaned: set[tuple[int, Where]] = field(default_factory=set)  # those of a server that left: it may have come back

    def goes_on(self, where: Where) -> bool:
        """Whether packets to the VIP still come to the balancer."""
        return any(vip == where[0] for vip, _ in self.services)

    def go_over(self, services: dict[Where, list[str]]) -> None:
        """These are the services now."""
        self.services = services
        self.orphaned |= {key for key, server in self.connections.items() if server not in services.get(key[1], [])}


def shape_of(chance: random.Random) -> Shape:
    wheres = chance.sample([(vip, port) for vip in VIPS for port in (80, 81, 82)], chance.randrange(1, 6))
    services = {where: chance.sample(list(SERVERS), chance.randrange(1, 6)) for where in wheres}
    return Shape(services, chance.random() < 0.5, chance.sample(wheres, len(wheres)), chance.choice([64, 64, 128]))


def test_whatever_configuration_comes_connections_stay_where_they_are() -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    shape = shape_of(chance)
    farm, model, sport = Farm(shape.text()), Model(shape.services), 10000
    for step in range(STEPS):
        where = f"seed {seed}, step {step}"
        for at, servers in model.services.items():
            sport += 1
            model.connections[sport, at] = chosen = farm.open(sport, vip=at[0], dport=at[1])
            assert chosen in servers, where
        for (port, at), server in chance.sample(sorted(model.connections.items()), min(6, len(model.connections))):
            if model.goes_on(at):
                farm.talk(server, port, vip=at[0], dport=at[1])
        again(farm, model, chance, where)
        shape = shape_of(chance)
        farm.site.take_over(shape.text())
        model.go_over(shape.services)
        assert farm.site.drops().keys() <= {"no_service"}, where
        check_figures(farm, model, where)


def again(farm: Farm, model: Model, chance: random.Random, where: str) -> None:
    """A connection ends by a reset of its client, and the same end point begins anew: with a server that is there."""
    (port, at), server = chance.choice(sorted(model.connections.items()))
    if not model.goes_on(at):
        return
    assert farm.ask(port, "R", vip=at[0], dport=at[1]) == server, where
    del model.connections[port, at]
    model.orphaned.discard((port, at))
    packet = farm.client.packet(at[0], sport=port, dport=at[1])
    farm.client.send(packet)
    frames = farm.site.taken("servers")
    if at not in model.services:
        assert frames == [], where
        assert [Ether(frame)[TCP].flags for frame in farm.site.taken("client")] == ["RA"], where
        return
    chosen = next(name for name, address in SERVERS.items() if address == Ether(frames[0])[IP].dst)
    assert chosen in model.services[at], where
    model.connections[port, at] = chosen
    farm.answer(chosen, port, vip=at[0], dport=at[1])
    assert farm.ask(port, "A", vip=at[0], dport=at[1]) == chosen, where


def check_figures(farm: Farm, model: Model, where: str) -> None:
    """Every server that is there counts the connections that the model knows of it; who came back counts anew."""
    for (vip, port), servers in model.services.items():
        name = f"s{vip[-1]}x{port}"
        for server in servers:
            known = sum(
                owner == server and key[1] == (vip, port) and key not in model.orphaned
                for key, owner in model.connections.items()
            )
            assert farm.site.server(server, name)["sessions_active"] == known, where
