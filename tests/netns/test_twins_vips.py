"""The ways to VIPs that a kernel twin has for probes: what is bound to it takes them, and nobody else."""

import os
import select
import socket
import subprocess
from contextlib import closing
from ipaddress import ip_address, ip_interface, ip_network

import dpkt
import pytest

from swlb.devices import namespace
from swlb.twins import Twin, open_twin

pytestmark = pytest.mark.root

MACS = {"outside": bytes.fromhex("025e00000001"), "inside": bytes.fromhex("025e00000002")}
OWN = {"outside": {4: "10.0.1.1", 6: "fd00:1::1"}, "inside": {4: "10.0.2.1", 6: "fd00:2::1"}}
VIPS = {4: "10.0.1.100", 6: "fd00:1::100"}
NETWORKS = {4: "10.0.1.0/24", 6: "fd00:1::/64"}
VNET_LEN = 10
FAMILIES = pytest.mark.parametrize("family", [4, 6])


def opened(segment, vips):
    addresses = tuple(ip_interface(f"{own}/{24 if family == 4 else 64}") for family, own in OWN[segment].items())
    return open_twin(segment, f"swlb-{segment}", Twin(addresses, vips=vips), mac=MACS[segment])


@pytest.fixture
def twins(netns):
    """Both twins, of which the inner one leads to VIPs of the outer segment; the test is in their namespace."""
    vips = {ip_address(VIPS[family]): ip_network(NETWORKS[family]) for family in (4, 6)}
    with namespace(netns), closing(opened("outside", {})) as outside, closing(opened("inside", vips)) as inside:
        yield {"outside": outside, "inside": inside}


def called(family, *, device=None, source=None):
    """A UDP socket that is connected to the VIP and has said something."""
    sock = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    if device:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    if source:
        sock.bind((source, 0))
    sock.connect((VIPS[family], 80))
    sock.send(b"probe")
    return sock


def sent(tap, family):
    """The first frame to the VIP that has left by the twin; others, such as listener reports, are passed over."""
    while select.select([tap.fd], [], [], 1.0)[0]:
        frame = dpkt.ethernet.Ethernet(os.read(tap.fd, 65536)[VNET_LEN:])
        if getattr(frame.data, "dst", None) == ip_address(VIPS[family]).packed:
            return frame
    raise AssertionError("no frame to the VIP within a second")


@FAMILIES
def test_what_is_bound_to_the_twin_leaves_by_it_without_a_question(twins, family):
    source = OWN["inside"][family]
    with called(family, device="swlb-inside", source=source):
        frame = sent(twins["inside"], family)
    assert (frame.src, frame.dst) == (MACS["inside"], MACS["inside"])
    assert (frame.data.src, bytes(frame.data.data.data)) == (ip_address(source).packed, b"probe")


@FAMILIES
def test_the_host_goes_to_the_vip_as_it_did_before(twins, family):
    with called(family) as sock:
        assert sock.getsockname()[0] == OWN["outside"][family]


def test_a_route_of_the_host_s_own_wins(twins):
    subprocess.run("ip link add eth9 type veth peer name eth8 && ip link set eth9 up && ip link set eth8 up && "
                   "ip address add 192.0.2.1/24 dev eth9 && ip route add 10.0.1.0/24 dev eth9", shell=True, check=True)
    with called(4) as sock:
        assert sock.getsockname()[0] == "192.0.2.1"


@FAMILIES
def test_nothing_is_left_of_it(netns, family):
    with namespace(netns):
        opened("inside", {ip_address(VIPS[family]): ip_network(NETWORKS[family])}).close()
        shown = [subprocess.run(["ip", f"-{family}", what, "show"], check=True, capture_output=True, text=True).stdout
                 for what in ("route", "neigh")]
    assert not any("swlb" in text or NETWORKS[family] in text for text in shown)
