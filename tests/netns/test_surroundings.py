"""What the host has already: told before anything is made. `ip` sets it up, swlb says what is in the way."""

import subprocess

import pytest

from swlb.config import parse
from swlb.errors import SwlbError
from swlb.namespaces import namespace
from swlb.surroundings import check_surroundings

pytestmark = pytest.mark.root

CONFIG = """
ports: {a: {tap: t0}}
segments: {lan: {ports: [a], addresses: [10.0.1.1/24, "fd00:1::1/64"]}}
services: {web: {vip: 10.0.1.100, port: 80, source_pool: [10.0.1.7], servers: {one: {address: 10.0.1.11}}}}
"""


def among(netns: str, *addresses: str) -> list[str]:
    """What is said where the host has those addresses on a device `eth7`."""
    subprocess.run(["ip", "-n", netns, "link", "add", "eth7", "type", "veth"], check=True)
    for address in addresses:
        subprocess.run(["ip", "-n", netns, "addr", "add", address, "dev", "eth7"], check=True)
    with namespace(netns):
        return check_surroundings(parse(CONFIG, file="lab.yaml"))


@pytest.mark.parametrize("address", ["10.0.2.9/24", "fd00:2::9/64"])
def test_nothing_is_said_of_other_networks(netns, address):
    assert among(netns, address) == []


@pytest.mark.parametrize("address", ["10.0.1.9/24", "10.0.0.9/16", "fd00:1::9/64"])
def test_an_overlapping_network_is_told_with_its_device(netns, address):
    (sentence,) = among(netns, address)
    assert "segment lan" in sentence
    assert f"{address.partition('/')[0]} on eth7" in sentence


@pytest.mark.parametrize(("address", "whose"), [
    ("10.0.1.1/24", "segment lan"), ("10.0.1.100/24", "service web"),
    ("10.0.1.7/24", "service web"), ("fd00:1::1/64", "segment lan"),
])
def test_an_address_of_the_hosts_own_is_refused(netns, address, whose):
    with pytest.raises(SwlbError, match=f"of {whose} is this host's own already, on eth7"):
        among(netns, address)
