"""Round robin against a list that is walked in a circle."""

import random

from swlb._testing_sessions import Services
from tests.ext.values import balancer

VIPS = (("10.0.0.100", "fd00::100"),)
FOUR, SIX = ("10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4"), ("fd00:1::1", "fd00:1::2")


def test_servers_take_turns_in_the_order_of_the_configuration() -> None:
    services = Services(balancer(vips=VIPS, servers=((*FOUR, *SIX),)))
    assert [services.choose(0, 4) for _ in range(9)] == [0, 1, 2, 3, 0, 1, 2, 3, 0]


def test_each_family_has_its_own_turn() -> None:
    services = Services(balancer(vips=VIPS, servers=((*FOUR, *SIX),)))
    assert [services.choose(0, family) for family in (4, 6, 4, 6, 4, 6)] == [0, 4, 1, 5, 2, 4]


def test_the_next_that_takes_sessions_is_chosen_whoever_comes_and_goes() -> None:
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    worker = balancer(vips=VIPS, servers=(FOUR,))
    services, takes, last = Services(worker), [True] * 4, 3
    for step in range(2000):
        n = choose.randrange(4)
        takes[n] = not takes[n]
        worker.set_server(n, ready=1, weight=int(takes[n]), now_ns=0)
        for _ in range(choose.randrange(4)):
            circle = [(last + k) % 4 for k in range(1, 5)]
            want = next((n for n in circle if takes[n]), None)
            assert services.choose(0, 4) == want, f"seed {seed}, step {step}"
            last = last if want is None else want


def test_a_service_without_servers_of_the_family_chooses_nobody() -> None:
    services = Services(balancer(vips=VIPS, servers=(FOUR,)))
    assert services.choose(0, 6) is None
