"""Whom and what the probes of a configuration are about, as the balancer tells them."""

import asyncio
from ipaddress import ip_address

import pytest
from control import CONFIG, control

from swlb.probes import Target

CHECKED = CONFIG.replace("check: {type: tcp, initial: up}", "check: CHECK")
OF_MANY = CHECKED.replace("port: 80\n", 'port: "80-90"\n').replace("10.0.2.11, port: 8080", "10.0.2.11")
PROGRAM = "{type: exec, command: [/bin/true]}"


def targets(check: str, config: str = CHECKED) -> list[Target]:
    """Whom the probes of service web are about, in the order of its servers."""

    async def started() -> list[Target]:
        balanced = control(config.replace("CHECK", check))
        balanced.balancer.start()
        asked = [server.target for server in balanced.balancer._checks._servers.values()]
        await balanced.balancer.stop()
        return asked

    return asyncio.run(started())


@pytest.mark.parametrize(
    ("check", "l4_port"),
    [("{type: udp}", 8080), ("{type: agent, port: 99}", 99), ("{type: icmp}", None), (PROGRAM, 8080)],
)
def test_a_probe_is_about_the_checks_l4_port_or_the_servers_own(check, l4_port):
    assert targets(check)[0] == Target(ip_address("10.0.2.11"), l4_port, "web", "web1")


def test_a_program_is_told_no_l4_port_where_clients_choose_among_many():
    assert [target.l4_port for target in targets(PROGRAM, OF_MANY)] == [None, 8080, 8080]
