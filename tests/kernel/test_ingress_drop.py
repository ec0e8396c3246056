"""A classifier that drops everything in front of a device's ingress does not take it from packet sockets.

They get their copy first (linux/net/core/dev.c: __netif_receive_skb_core). So a program may have the frames of an
interface for itself, while the kernel of the namespace neither answers nor routes what arrives there. The classifier is
there as long as the descriptor of its link (tcx, Linux 6.6): a program that dies leaves nothing behind.
"""

import os
import socket
import subprocess

import pytest
from wire import lay, waiting

from swlb.bpf import Op, Reg, alu, assemble, leave, link_to_ingress, new_classifier
from swlb.namespaces import namespace

pytestmark = pytest.mark.root

TC_ACT_OK, TC_ACT_SHOT = 0, 2


@pytest.fixture
def wire(make_netns):
    return lay(make_netns)


def linked(wire, verdict: int) -> int:
    program = new_classifier(assemble([alu(Op.MOV, Reg.R0, verdict), leave()]))
    with namespace(wire.near):
        link = link_to_ingress(program, socket.if_nametoindex("near"))
    os.close(program)
    return link


def is_answered(wire, address: str = "10.99.0.1") -> bool:
    argv = ["ip", "netns", "exec", wire.far, "ping", "-c1", "-W0.3", address]
    return subprocess.run(argv, check=False, capture_output=True).returncode == 0


def test_the_kernel_does_not_hear_what_the_packet_socket_hears(wire):
    assert is_answered(wire)
    with wire.packet_socket("near") as near:
        link = linked(wire, TC_ACT_SHOT)
        waiting(near)
        assert not is_answered(wire)
        assert any(frame[12:14] == b"\x08\0" for frame in waiting(near))
    os.close(link)


def test_the_kernel_hears_again_once_the_descriptor_is_closed(wire):
    os.close(linked(wire, TC_ACT_SHOT))
    assert is_answered(wire)


def test_a_classifier_that_passes_is_no_obstacle(wire):
    link = linked(wire, TC_ACT_OK)
    assert is_answered(wire)
    os.close(link)


def test_the_kernel_does_not_route_what_it_does_not_hear(wire, make_netns):
    wire.run("near", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    wire.run("near", "ip", "address", "add", "10.98.0.1/32", "dev", "lo")
    wire.run("far", "ip", "route", "add", "10.98.0.0/24", "via", "10.99.0.1")
    assert is_answered(wire, "10.98.0.1")
    link = linked(wire, TC_ACT_SHOT)
    assert not is_answered(wire, "10.98.0.1")
    os.close(link)


def test_what_the_interface_itself_sends_is_not_touched(wire):
    link = linked(wire, TC_ACT_SHOT)
    with wire.packet_socket("far") as far, wire.socket("near", socket.SOCK_DGRAM) as near:
        waiting(far)
        near.sendto(b"hello", ("10.99.0.2", 9))
        assert any(frame.endswith(b"hello") for frame in waiting(far))
    os.close(link)
