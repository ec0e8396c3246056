"""Random configurations with every scheduler, limits, backups and persistence, and random orders in between.

Who gets what is judged elsewhere; here what must hold in whatever order things happen: a session goes to a server that
is there and takes sessions, by what was ordered last, and that has no more than its limit; while somebody takes any,
nobody is refused; and what tables say of each other is so.
"""

import random
from typing import Any

import pytest

from .reloaded import SERVERS, Farm, config

STEPS = 40
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "sed", "nq", "hash", "maglev", "p2c", "fo", "overflow")
READY = (1, 1, 1, 3, 5, 0)  # up; drain; maint; down


def server_text(name: str, chance: random.Random) -> str:
    words = {"address": SERVERS[name], "port": 8080, "weight": chance.choice((0, 1, 1, 2, 7, 256))}
    if chance.random() < 0.3:
        words["backup"] = "true"
    if chance.random() < 0.4:
        words["max_connections"] = chance.choice(("1", "3", "{upper: 4, lower: 2}"))
    return f"{name}: {{{', '.join(f'{key}: {value}' for key, value in words.items())}}}"


def config_text(chance: random.Random, workers: int) -> str:
    services = {}
    for port in chance.sample((80, 81, 82), chance.randrange(1, 4)):
        servers = ", ".join(server_text(name, chance) for name in chance.sample(list(SERVERS), chance.randrange(1, 7)))
        more = ", persistence: {timeout: 60s}" if chance.random() < 0.5 else ""
        on_down = chance.choice(("keep", "reschedule", "reset"))
        services[f"s{port}"] = (f"{{vip: 10.0.1.100, port: {port}, scheduler: {chance.choice(SCHEDULERS)}{more}, "
                                f"on_down: {on_down}, servers: {{{servers}}}}}")
    return config(head=f"workers: {workers}\n", **services)


class Orders:
    """What was ordered of each server last, by service and name."""

    def __init__(self, farm: Farm, chance: random.Random) -> None:
        self.farm, self.chance = farm, chance
        self.services: dict[str, Any] = {}
        self.said: dict[tuple[str, str], dict[str, int]] = {}
        self.go_over()

    def go_over(self) -> None:
        """The configuration is in force, and every server is told what it is to be."""
        self.services = self.farm.site.config.services
        self.said = {}
        for key in self.farm.site.built.servers:
            self.say(key, ready=1, weight=self.services[key[0]].servers[key[1]].weight, share=256)

    def say(self, key: tuple[str, str], **words: int) -> None:
        limit = self.services[key[0]].servers[key[1]].max_connections
        words |= {"limit": limit.upper, "lower": limit.lower} if limit else {}
        self.said[key] = words
        self.farm.site.built.workers.set_server(self.farm.site.built.servers[key], **words,
                                                now_ns=self.farm.site.now_ns)

    def order(self) -> None:
        """Something else of one of them."""
        self.say(self.chance.choice(sorted(self.said)), ready=self.chance.choice(READY),
                 weight=self.chance.choice((0, 1, 3, 65535)), share=self.chance.choice((0, 1, 100, 256, 256)))

    def may_take(self, service: str) -> set[str]:
        """Who may be given a new session, also by one who had been there."""
        ready = (1, 3) if self.services[service].persistence else (1,)
        return {name for (of, name), words in self.said.items()
                if of == service and words["weight"] and words["ready"] in ready}

    def must_take(self, service: str) -> set[str]:
        """While they are there, nobody is refused."""
        return {name for (of, name), words in self.said.items()
                if of == service and words["weight"] and words["ready"] == 1 and "limit" not in words
                and self.services[service].scheduler != "overflow"}

    def limit(self, service: str, name: str) -> int:
        return self.said[service, name].get("limit", STEPS * 4)


@pytest.mark.parametrize("workers", [1, 2])
def test_whatever_is_ordered_sessions_go_where_they_may(workers: int) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    farm = Farm(config_text(chance, workers))
    orders = Orders(farm, chance)
    sport = 10000
    for step in range(STEPS):
        where = f"seed {seed}, step {step}"
        for _ in range(4):
            sport += 1
            name = chance.choice(sorted(orders.services))
            service = orders.services[name]
            server = farm.ask(sport, dport=service.port_first)
            if server is None:
                assert not orders.must_take(name), where
                farm.site.discard()
                continue
            assert server in orders.may_take(name), where
            assert farm.site.server(server, name)["sessions_open"] <= orders.limit(name, server), where
            if flags := chance.choice(("", "A", "R")):
                farm.answer(server, sport, dport=service.port_first)
                assert farm.ask(sport, flags, dport=service.port_first) == server, where
        orders.order()
        if chance.random() < 0.2:
            farm.site.built.persists.forget()
        if chance.random() < 0.1:
            farm.site.built.workers.flush_sessions()
        if chance.random() < 0.3:
            farm.site.wait(chance.choice((0.2, 70.0)), step=1.0)
            farm.client.greet()
            for host in farm.servers.values():
                host.greet()
        farm.site.audit()
        if chance.random() < 0.3:
            farm.site.take_over(config_text(chance, workers))
            orders.go_over()
            farm.site.audit()
