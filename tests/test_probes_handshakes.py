"""What a tcp probe leaves on a server, whole or half open: seen by a capture, the server's kernel and its program."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether

from swlb.namespaces import namespace
from swlb.probes import Target
from tests.answering import HOSTS, bound, target_of
from tests.probing import ask, probed, probed_in

pytestmark = pytest.mark.root

ETH_P_ALL, PACKET_OUTGOING = 3, 4  # linux/if_ether.h, linux/if_packet.h
KINDS = pytest.mark.parametrize("half_open", [False, True])
EITHER = pytest.mark.parametrize("host", HOSTS)


@contextmanager
def listener_in(netns: str, host: str) -> Iterator[socket.socket]:
    """A listening socket in a namespace; accepting never blocks."""
    with namespace(netns):
        sock = bound(host, socket.SOCK_STREAM)
    with sock:
        sock.listen(8)
        sock.setblocking(False)
        yield sock


@contextmanager
def captured(netns: str) -> Iterator[list[TCP]]:
    """The TCP segments on `lo` of the namespace, each once; the list is filled when the block ends."""
    segments: list[TCP] = []
    with namespace(netns):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with sock:
        sock.bind(("lo", ETH_P_ALL))
        sock.setblocking(False)
        yield segments
        while True:
            try:
                frame, address = sock.recvfrom(65535)
            except BlockingIOError:
                return
            if address[2] != PACKET_OUTGOING and TCP in Ether(frame):
                segments.append(Ether(frame)[TCP])


def states(netns: str, target: Target) -> set[str]:
    """The states of the server's sockets as the kernel of the namespace lists them."""
    listed = subprocess.run(
        ["ip", "netns", "exec", netns, "ss", "-Htan", "sport", "=", f":{target.l4_port}"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return {line.split()[0] for line in listed.splitlines()}


def accepted(listener: socket.socket) -> socket.socket | None:
    try:
        return listener.accept()[0]
    except BlockingIOError:
        return None


@EITHER
def test_a_half_open_probe_is_syn_synack_rst_and_never_an_ack(netns, host):
    with listener_in(netns, host) as listener, captured(netns) as segments:
        target = target_of(listener)
        outcome = probed_in(netns, ask("tcp", target, half_open=True, response=5.0))
    assert (outcome.ok, outcome.status) == (True, "L4OK")
    assert outcome.detail == f"SYN-ACK from {target} after {outcome.duration_ms:.1f} ms"
    assert [str(segment.flags) for segment in segments] == ["S", "SA", "RA"]
    assert segments[2].seq == segments[1].ack


@EITHER
def test_a_half_open_probe_never_reaches_the_program_and_leaves_nothing(netns, host):
    with listener_in(netns, host) as listener:
        for _ in range(5):
            probed_in(netns, ask("tcp", target_of(listener), half_open=True, response=5.0))
        assert accepted(listener) is None
        assert states(netns, target_of(listener)) == {"LISTEN"}


@EITHER
def test_a_whole_probe_ends_with_fin_and_leaves_no_half_open_connection(netns, host):
    with listener_in(netns, host) as listener, captured(netns) as segments:
        probed_in(netns, ask("tcp", target_of(listener), response=5.0))
        server = accepted(listener)
        assert server is not None
        with server:
            assert states(netns, target_of(listener)) == {"LISTEN", "CLOSE-WAIT"}
            assert server.recv(1) == b""
        assert states(netns, target_of(listener)) == {"LISTEN"}
    flags = [str(segment.flags) for segment in segments]
    # The acknowledgement of the first FIN may ride on the second.
    assert ([flag for flag in flags if flag != "A"], flags[-1]) == (["S", "SA", "FA", "FA"], "A")


@KINDS
def test_a_backlog_of_one_is_not_filled_by_probes(netns, half_open):
    with listener_in(netns, HOSTS[0]) as listener:
        listener.listen(0)
        for _ in range(3):
            outcome = probed_in(netns, ask("tcp", target_of(listener), half_open=half_open, response=5.0))
            assert outcome.status == "L4OK"
            if not half_open:
                accepted(listener).close()


@EITHER
def test_a_half_open_probe_of_a_closed_l4_port_is_l4con(host):
    with bound(host, socket.SOCK_STREAM) as sock:
        target = target_of(sock)
    outcome = probed(ask("tcp", target, half_open=True, response=5.0))
    assert (outcome.ok, outcome.status) == (False, "L4CON")


@EITHER
def test_a_half_open_probe_of_a_silent_server_is_l4tout_and_leaves_nothing(netns, host):
    with listener_in(netns, host) as listener:
        listener.listen(0)
        with namespace(netns), socket.create_connection(listener.getsockname()[:2]):  # takes the one place
            outcome = probed(ask("tcp", target_of(listener), half_open=True, response=0.2))
            assert states(netns, target_of(listener)) == {"LISTEN", "ESTAB"}
    assert (outcome.ok, outcome.status) == (False, "L4TOUT")
