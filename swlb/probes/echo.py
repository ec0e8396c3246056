"""An ICMP echo request as a message, and which messages answer it. No I/O. Spec: RFC 792, RFC 4443 4."""

import secrets
import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

import dpkt

Address = IPv4Address | IPv6Address


class Answer(NamedTuple):
    """What a message says about an echo request: answered, or why not."""

    ok: bool
    detail: str


class IcmpFamily(NamedTuple):
    """The numbers in which ICMP and ICMPv6 differ."""

    protocol: int
    request: int
    reply: int
    errors: tuple[int, ...]  # destination unreachable, time exceeded

    @property
    def admitted(self) -> tuple[int, ...]:
        """The types that can answer an echo request."""
        return (self.reply, *self.errors)


ICMP_FAMILIES = {
    4: IcmpFamily(socket.IPPROTO_ICMP, dpkt.icmp.ICMP_ECHO, dpkt.icmp.ICMP_ECHOREPLY, (3, 11)),
    6: IcmpFamily(socket.IPPROTO_ICMPV6, dpkt.icmp6.ICMP6_ECHO_REQUEST, dpkt.icmp6.ICMP6_ECHO_REPLY, (1, 3)),
}


@dataclass(frozen=True)
class Echo:
    """One echo request, and how its answers are told from everything else a raw socket sees."""

    target: Address
    id: int = field(default_factory=lambda: secrets.randbits(16))
    seq: int = field(default_factory=lambda: secrets.randbits(16))
    token: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    @property
    def family(self) -> IcmpFamily:
        """The numbers of the target's family."""
        return ICMP_FAMILIES[self.target.version]

    @property
    def request(self) -> bytes:
        """The ICMP message to send. An ICMPv6 checksum is left to the kernel, which knows the source (RFC 3542 3.1)."""
        kind = dpkt.icmp.ICMP if self.target.version == 4 else dpkt.icmp6.ICMP6
        return bytes(kind(type=self.family.request, data=kind.Echo(id=self.id, seq=self.seq, data=self.token)))

    def judge(self, received: bytes, sender: str) -> Answer | None:
        """What a received message says about this request; None when it is about something else."""
        try:
            message = dpkt.ip.IP(received).data if self.target.version == 4 else dpkt.icmp6.ICMP6(received)
            if message.type == self.family.reply:
                return Answer(True, "") if sender == str(self.target) and self._is_reply(message.data) else None
            if message.type in self.family.errors and self._is_quoted(message.data.data):
                text = f"{sender} answered for {self.target} with ICMP type {message.type} code {message.code}"
                return Answer(False, text)
        except Exception:
            # dpkt answers mangled input with whatever comes (UnpackError, AttributeError...), and anybody may send it.
            return None
        return None

    def _is_reply(self, echo: dpkt.icmp.ICMP.Echo | dpkt.icmp6.ICMP6.Echo) -> bool:
        return (echo.id, echo.seq, bytes(echo.data)) == (self.id, self.seq, self.token)

    def _is_quoted(self, packet: dpkt.ip.IP | dpkt.ip6.IP6) -> bool:
        # An error need not quote more than 8 bytes beyond the IP header (RFC 792). The first four are type, code and
        # a checksum that is not ours under ICMPv6; id and seq follow, then as much of the token as there is.
        quoted, request = bytes(packet.data), self.request
        same_kind = quoted[:2] == request[:2] and len(quoted) >= 8
        return same_kind and packet.dst == self.target.packed and request[4:].startswith(quoted[4 : len(request)])
