"""A super-frame written to a TAP reaches the socket whole.

The kernel takes a TCP segment far beyond the MTU when the virtio-net header says how it would have to be cut
(gso_type TCPV4, gso_size, hdr_len) and where the checksum is still to be done. It is not cut on its way to a
local socket: the receiver acknowledges it as one. This is what makes a TAP fast, and it does not depend on
TUNSETOFFLOAD, which rules only what the kernel may hand to us (this device has TUN_F_CSUM and no more).
"""

import socket
import struct

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from swlb.namespaces import namespace

pytestmark = pytest.mark.root

VNET_HDR = struct.Struct("<BBHHHH")
NEEDS_CSUM = 1
GSO_TCPV4 = 1
MSS = 1460
HEADERS_LEN = 14 + 20 + 20
CLIENT_SEQ = 1000
PAYLOAD = bytes(range(250)) * 80


def frame(**tcp) -> bytes:
    ether = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01")
    return bytes(ether / IP(src="10.99.0.2", dst="10.99.0.1") / TCP(sport=4000, dport=80, window=65535, **tcp))


def pseudo_header_sum(segment_len: int) -> int:
    addresses = socket.inet_aton("10.99.0.2") + socket.inet_aton("10.99.0.1")
    total = sum(struct.unpack("!4H", addresses)) + socket.IPPROTO_TCP + segment_len
    return (total >> 16) + (total & 0xFFFF)


def super_frame(ack: int) -> bytes:
    head = frame(flags="PA", seq=CLIENT_SEQ + 1, ack=ack, chksum=pseudo_header_sum(20 + len(PAYLOAD)))
    ip = IP(src="10.99.0.2", dst="10.99.0.1", proto=socket.IPPROTO_TCP, len=40 + len(PAYLOAD))
    vnet_hdr = VNET_HDR.pack(NEEDS_CSUM, GSO_TCPV4, HEADERS_LEN, MSS, 34, 16)
    return vnet_hdr + head[:14] + bytes(ip) + head[34:] + PAYLOAD


def test_a_tcp_super_frame_is_delivered_and_acknowledged_as_one(tap):
    with namespace(tap.netns):
        listener = socket.create_server(("10.99.0.1", 80))
    with listener:
        tap.write(bytes(VNET_HDR.size) + frame(flags="S", seq=CLIENT_SEQ, options=[("MSS", MSS)]))
        ack = Ether(tap.read()[VNET_HDR.size :])[TCP].seq + 1
        tap.write(bytes(VNET_HDR.size) + frame(flags="A", seq=CLIENT_SEQ + 1, ack=ack))
        listener.settimeout(1)
        server, _ = listener.accept()
        with server:
            server.settimeout(1)
            tap.write(super_frame(ack))
            assert server.recv(len(PAYLOAD), socket.MSG_WAITALL) == PAYLOAD
            assert Ether(tap.read()[VNET_HDR.size :])[TCP].ack == CLIENT_SEQ + 1 + len(PAYLOAD)
