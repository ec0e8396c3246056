"""A tagged super-frame written to a TAP is taken whole: it reaches a tap on the device as one frame, its tag beside it.

The offsets of its offload header count from the Ethernet header, tag included.
"""

import socket

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Dot1Q, Ether
from wire import AUX, AUXDATA, ETH_P_ALL, SOL_PACKET, VNET, VNET_HDR

from swlb.namespaces import namespace

pytestmark = pytest.mark.root

NEEDS_CSUM, GSO_TCPV4 = 1, 1
TAG_LEN = 4


def test_a_tagged_super_frame_arrives_as_one(tap):
    packet = IP(src="10.99.0.2", dst="10.99.0.1") / TCP(sport=1, dport=2, flags="A") / bytes(20_000)
    frame = bytes(Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01") / Dot1Q(vlan=20, prio=3) / packet)
    with namespace(tap.netns), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.setsockopt(SOL_PACKET, VNET_HDR, 1)
        sock.setsockopt(SOL_PACKET, AUXDATA, 1)
        sock.bind((tap.name, ETH_P_ALL))
        sock.settimeout(1)
        tap.write(VNET.pack(NEEDS_CSUM, GSO_TCPV4, 58, 1448, 34 + TAG_LEN, 16) + frame)
        while True:
            data, control, _, _ = sock.recvmsg(70_000, 256)
            if data[VNET.size:][:12] == frame[:12]:
                break
    (tci, tpid) = AUX.unpack_from(control[0][2])[5:7]
    assert data[VNET.size:] == frame[:12] + frame[12 + TAG_LEN:]
    assert (tpid, tci) == (0x8100, 3 << 13 | 20)
    flags, kind, _, size, start, offset = VNET.unpack_from(data)
    assert (flags & NEEDS_CSUM, kind, size, start, offset) == (NEEDS_CSUM, GSO_TCPV4, 1448, 34, 16)
