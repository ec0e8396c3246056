"""Whatever happens in whatever order, reloads among it: workers know what follows from the states of the servers."""

import random
from itertools import product

import pytest
from control import CONFIG
from reforming import Reforming, reforming
from told import DOWN, UP

from swlb.fail_open import ignores_health
from swlb.service_state import ServiceState

TIMED = "{type: tcp, initial: up, interval: 2s, retries: 2, dead_interval: 2s, rise: 2, timeout: 1h}"
WEB1 = "      web1: {address: 10.0.2.11, port: 8080, weight: 4}\n"
CHECK = "    check: {type: tcp, initial: up}\n"
KEYS = {
    CHECK: [f"    check: {TIMED}\n", "", f"    check: {TIMED.replace('tcp', 'http')}\n",
            f"    check: {{any: [{TIMED}, {TIMED.replace('tcp', 'http')}]}}\n"],
    "    port: 80\n": ["    port: 80\n", "    port: 80\n    fail_open: 60%\n", "    port: 80\n    slow_start: 16s\n",
                       "    port: 81\n    scheduler: maglev\n    slow_start: 4s\n"],
    WEB1: [WEB1, "", WEB1.replace("weight: 4", "weight: 0"), WEB1.replace("8080", "8081"),
           WEB1.replace("weight: 4", "backup: true, max_connections: 7")],
    'vip: [10.0.1.100, "fd00:1::100"]': ['vip: [10.0.1.100, "fd00:1::100"]', 'vip: [10.0.1.101, "fd00:1::100"]'],
}  # fmt: skip
ORDERS = ("ready", "ready", "drain", "maint", "weight=0", "weight=50%", "weight=9")


def a_text(choose: random.Random) -> str:
    text = CONFIG
    for old, others in KEYS.items():
        text = text.replace(old, choose.choice(others))
    return text if "check:" in text else text.replace("    fail_open: 60%\n", "")


def in_order(at: Reforming) -> None:
    """Everything is as it follows from the states of the servers."""
    balancer, workers = at.balancer, at.control.built.workers
    for key, state in balancer.servers.items():
        assert state.index == at.control.built.servers[key]
        wanted, said = workers.wanted(state.index), state.for_workers
        assert {name: wanted[name] for name in ("ready", "weight", "share")} == {
            name: said[name] for name in ("ready", "weight", "share")
        }, key
        assert balancer.by_index[state.index] is state
        assert len(state.standings) == len(state.service.checks)
        assert state.service is at.control.config.services[key[0]]
        assert (state.slow_since is None) == (state.share == 256)
    for service in at.control.config.services.values():
        servers = balancer._servers_of(service)
        is_now = balancer._service_is[service.name]
        assert is_now == ServiceState.of(servers)
        assert is_now.ignores_health == ignores_health(service.fail_open, servers, did=is_now.ignores_health)


@pytest.mark.parametrize("seed", range(6))
def test_a_history_of_orders_failures_and_reloads(seed: int) -> None:
    async def scenario(at: Reforming) -> None:
        choose = random.Random(seed)
        for kind, address in product(("tcp", "http"), ("10.0.2.11", "10.0.2.12", "fd00:2::11")):
            at.told.outcomes[kind, address] = UP
        for _ in range(40):
            match choose.randrange(4):
                case 0:
                    at.go_over(a_text(choose))
                case 1:
                    name = choose.choice(["/".join(key) for key in at.balancer.servers])
                    at.balancer.order(name, choose.choice(ORDERS))
                case 2:
                    at.told.outcomes[choose.choice(list(at.told.outcomes))] = choose.choice((UP, DOWN))
                case 3:
                    await at.until(at.clock.now() + choose.choice((0.3, 2.0, 9.0)))
            in_order(at)

    reforming(a_text(random.Random(seed)), scenario)
