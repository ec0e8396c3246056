"""Sessions that are asked for, held against a plain filter over all of them."""

import ipaddress
import random
from typing import Any

import pytest

from swlb._testing_sessions import Sessions
from swlb._worker import Worker, session_states
from tests.ext.values import STATES, balancer, ip

VIPS = (("10.0.0.100", "fd00::100"), ("10.0.0.101", "fd00::101"))
SERVERS = (("10.0.1.1", "10.0.1.2", "fd00:1::1"), ("10.0.1.3", "fd00:1::2"))
SERVICE_OF = (0, 0, 0, 1, 1)                       # by server
OF_FAMILY = {4: (0, 1, 3), 6: (2, 4)}
NETWORKS = {4: "192.0.2.{}", 6: "2001:db8::{:x}"}
NOW_NS = 10**6
Row = tuple[Any, ...]


def filled(dice: random.Random, n: int, *, limit: int = 4000) -> Worker:
    """A worker with n sessions of each family, of all services, servers, states and protocols."""
    worker = balancer(sessions=limit, vips=VIPS, servers=SERVERS)
    for family, servers in OF_FAMILY.items():
        table = Sessions(worker, family)
        for port in range(1, n + 1):
            client = ip(NETWORKS[family].format(dice.randrange(1, 200)))
            assert table.insert(client, port, dice.choice([6, 17]), 80, dice.choice(servers), 0,
                                dice.choice(list(STATES.values())))
    return worker


def address(raw: bytes) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    value = ipaddress.IPv6Address(raw)
    return value.ipv4_mapped or value


def is_wanted(row: Row, wanted: dict[str, Any]) -> bool:
    """The slow way to say it."""
    protocol, client, _, _, server, _, state, *_ = row
    network = wanted["client"] and ipaddress.ip_network(wanted["client"])
    return ((network is None or (address(client).version == network.version and address(client) in network))
            and wanted["service"] in (None, SERVICE_OF[server])
            and wanted["server"] in (None, server)
            and wanted["state"] in (None, state)
            and wanted["protocol"] in (None, protocol))


def as_worker_wants(network: str | None) -> tuple[bytes, int] | None:
    if network is None:
        return None
    value = ipaddress.ip_network(network)
    return ip(str(value.network_address)), value.prefixlen + (96 if value.version == 4 else 0)


def random_filter(dice: random.Random) -> dict[str, Any]:
    def maybe(values: list[Any]) -> Any:
        return dice.choice(values) if dice.random() < 0.4 else None

    client = maybe(["192.0.2.7/32", "192.0.2.64/26", "0.0.0.0/0", "::/0", "2001:db8::/64", "2001:db8::40/122",
                    "192.0.3.0/24", "2001:db8::9/128"])
    return {"client": client, "service": maybe([0, 1]), "server": maybe([0, 1, 2, 3, 4]),
            "state": maybe(session_states()), "protocol": maybe([6, 17])}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sessions_that_are_asked_for_are_those_of_a_plain_filter(seed: int) -> None:
    dice = random.Random(seed)
    worker = filled(dice, 1000)
    all_rows = worker.sessions(now_ns=NOW_NS)
    assert len(all_rows) == 2000
    found = 0
    for step in range(150):
        wanted = random_filter(dice)
        asked = {**wanted, "client": as_worker_wants(wanted["client"])}
        rows = [row for rows in worker.session_slices(**asked, now_ns=NOW_NS) for row in rows]
        assert rows == [row for row in all_rows if is_wanted(row, wanted)], f"seed {seed}, step {step}: {wanted}"
        found += 0 < len(rows) < len(all_rows)
    assert found > 50


def test_there_is_no_session_of_icmp() -> None:
    worker = filled(random.Random(4), 50)
    assert [row for rows in worker.session_slices(protocol=1, now_ns=NOW_NS) for row in rows] == []


def test_a_list_of_few_among_many_is_taken_in_small_slices() -> None:
    """However few are wanted, the worker is held for eight pages at a time only."""
    worker = filled(random.Random(5), 4000, limit=50000)
    for family in (4, 6):
        client = as_worker_wants(NETWORKS[family].format(250))
        slices = list(worker.session_slices(client=client, now_ns=NOW_NS))
        assert [row for rows in slices for row in rows] == []
        pages = Sessions(worker, family).pages
        assert pages / 8 <= len(slices) <= pages / 8 + 1


def test_an_unknown_state_is_refused_and_nothing_is_listed() -> None:
    with pytest.raises(ValueError, match="SLEEPING"):
        list(filled(random.Random(6), 1).session_slices(state="SLEEPING"))


def test_states_are_those_of_the_contract() -> None:
    assert session_states() == ["SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK",
                                "TIME_WAIT", "CLOSED", "ONE_WAY", "TWO_WAY"]
