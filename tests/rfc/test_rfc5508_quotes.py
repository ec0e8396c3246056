"""RFC 5508 4.2: the packet that an error quotes is again, byte for byte, what the error's receiver had sent.

In every way swlb forwards; of packets with all that senders are free to choose, quoted as far as 8 bytes of their
transport header, 576 bytes, or whole, with and without extensions (RFC 4884) behind. What cannot be restored are hops,
of which a quoted packet has as many left as it had where it was quoted, and half a checksum.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scenarios.balanced import routed, transparent
from tests.scenarios.network import Station
from tests.scenarios.test_dsr import dsr
from tests.scenarios.test_masquerade import Scene as Masquerade
from tests.scenarios.test_source_nat import Scene as SourceNat
from tests.scenarios.tunnelled import OWN, tunnelled

from .common import (
    FAMILIES,
    IP,
    TCP,
    UDP,
    IPv6,
    Packet,
    Raw,
    built,
    echo,
    examples,
    heads,
    hops_of,
    icmp_message,
    ip,
    message,
    outer_flaws,
    transports,
    with_extensions,
    with_hops,
)

KINDS = pytest.mark.parametrize("kind", [(family, protocol) for family in FAMILIES for protocol in ("tcp", "udp")],
                                ids=lambda kind: f"{kind[1]}-v{kind[0]}")
UNREACHABLE = {4: (3, 1), 6: (1, 3)}


@dataclass
class Path:
    """A sender whose packets swlb forwards, who receives them, and the packets that it may send."""

    sender: Station
    receiver: Station
    src: str
    dst: str
    sport: int
    dport: int
    to: str | None = None              # MAC that the receiver's errors are sent to, when not swlb's


def nat(shape: Callable, family: int, protocol: str, *, back: bool = False) -> Path:
    """Client and server of a translated session; back: the server is the sender."""
    scene = shape(family, protocol=protocol, n_servers=1)
    scene.call("S")
    scene.answer(0, "SA")
    client, server = scene.client, scene.servers[0]
    past = None if scene.hops_lost else scene.client.mac
    if back:
        return Path(server, client, server.addresses[0], client.addresses[0], scene.server_port, 40000, to=past)
    return Path(client, server, client.addresses[0], scene.vip, 40000, 80, to=past)


def source_nat(family: int, protocol: str) -> Path:
    scene = SourceNat(family, protocol, n_servers=1)
    scene.call()
    return Path(scene.client, scene.servers[0], scene.client.addresses[0], scene.vip, 40000, 80)


def masquerade(family: int, protocol: str) -> Path:
    scene = Masquerade(family)
    scene.leaves(ip(scene.host, scene.peer) / (TCP(sport=5000, dport=53, flags="S") if protocol == "tcp" else
                                               UDP(sport=5000, dport=53)))
    return Path(scene.inside, scene.outside, scene.host, scene.peer, 5000, 53)


def straight(family: int, protocol: str) -> Path:
    """Direct server return: the server has the VIP itself."""
    scene = dsr(routed, family, protocol=protocol, n_servers=1)
    scene.client.send(scene.request("S"))
    scene.net.discard()
    return Path(scene.client, scene.servers[0], scene.client.addresses[0], scene.vip, 40000, 80)


WAYS: dict[str, Callable[[int, str], Path]] = {
    "nat": lambda family, protocol: nat(routed, family, protocol),
    "nat in one segment": lambda family, protocol: nat(transparent, family, protocol),
    "nat, of an answer": lambda family, protocol: nat(routed, family, protocol, back=True),
    "source nat": source_nat,
    "masquerade": masquerade,
    "dsr": straight,
}


@dataclass
class Quoting:
    """How the receiver quotes: so much behind the IP header, and what follows that."""

    room: int
    extensions: bytes = b""


QUOTINGS = st.one_of(
    st.builds(Quoting, st.sampled_from((8, 12, 16, 19, 20, 28, 548, 1500))),
    st.builds(Quoting, st.just(1500), st.binary(min_size=4, max_size=40)))


def quote(packet: Packet, how: Quoting) -> tuple[bytes, bytes, bytes]:
    """The rest of the ICMP header, the quote, and what stands behind it."""
    raw = bytes(packet)
    head = 40 if isinstance(packet, IPv6) else packet.ihl * 4
    quoted = raw[:head + how.room]
    if not how.extensions:
        return bytes(4), quoted, b""
    # RFC 4884 4: filled up to 128 bytes and whole words; the words of the quote stand in the header.
    word = 8 if isinstance(packet, IPv6) else 4
    padding = bytes(max(128 - len(quoted), -len(quoted) % word))
    words = (len(quoted) + len(padding)) // word
    if words > 255:
        return bytes(4), quoted, b""
    rest = bytes((words, 0, 0, 0)) if word == 8 else bytes((0, words, 0, 0))
    return rest, quoted, padding + b"\x20\x00\x00\x00" + how.extensions


def judge(path: Path, packet: Packet, how: Quoting, *, received: Packet) -> None:
    """The receiver complains of what it received; the sender hears it about what it had sent."""
    family = 6 if isinstance(packet, IPv6) else 4
    rest, quoted, behind = quote(received, how)
    kind = UNREACHABLE[family]
    # As to whom it takes for the sender.
    path.receiver.send(icmp_message(ip(received.dst, received.src), *kind, rest, quoted + behind), to=path.to)
    error = path.sender.take_one()
    assert error.dst == path.src
    said = message(error)
    assert outer_flaws(error) == []
    assert (said[:2], said[4:8]) == (bytes(kind), rest)
    sent = bytes(with_hops(packet, hops_of(received)))
    assert said[8:8 + len(quoted)].hex() == sent[:len(quoted)].hex()
    assert said[8 + len(quoted):].hex() == behind.hex()


@pytest.mark.parametrize("way", WAYS)
@KINDS
@examples(15)
@given(data=st.data())
def test_section_4_2_req_4_the_quoted_packet_is_what_was_sent(way: str, kind: tuple[int, str],
                                                             data: st.DataObject) -> None:
    """Addresses, ports and checksums of the quoted packet are reverted; type, code, extensions are left as they are."""
    family, protocol = kind
    path = WAYS[way](family, protocol)
    packet = built(data.draw(heads(family, path.src, path.dst)),
                   data.draw(transports(protocol, path.sport, path.dport)))
    path.sender.send(packet, to=path.to)
    judge(path, packet, data.draw(QUOTINGS), received=path.receiver.net.take_one(path.receiver.port).payload)


@pytest.mark.parametrize("family", FAMILIES)
@examples(15)
@given(data=st.data())
def test_section_4_2_req_4_so_is_a_quoted_echo(family: int, data: st.DataObject) -> None:
    """Of an echo through masquerade the identifier is reverted."""
    scene = Masquerade(family)
    request = echo(family, id=data.draw(st.integers(0, 65535)), seq=data.draw(st.integers(0, 65535)))
    packet = built(data.draw(heads(family, scene.host, scene.peer)), request, Raw(data.draw(st.binary(max_size=60))))
    path = Path(scene.inside, scene.outside, scene.host, scene.peer, 0, 0)
    scene.inside.send(packet)
    judge(path, packet, data.draw(QUOTINGS), received=scene.outside.take_one())


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("family", FAMILIES)
@examples(10)
@given(data=st.data(), check=st.integers(1, 0xFFFE))
def test_section_4_2_req_3c_the_checksum_of_a_quoted_transport_is_not_judged(family: int, protocol: str, check: int,
                                                                            data: st.DataObject) -> None:
    """A packet that was sent with a wrong checksum is quoted with that one."""
    path = nat(routed, family, protocol)
    l4 = data.draw(transports(protocol, path.sport, path.dport))
    l4.chksum = check
    packet = built(data.draw(heads(family, path.src, path.dst)), l4)
    path.sender.send(packet)
    judge(path, packet, Quoting(1500), received=path.receiver.take_one())


@pytest.mark.parametrize("way", ["nat", "masquerade"])
@examples(15)
@given(data=st.data(), protocol=st.sampled_from(("tcp", "udp")))
def test_section_4_2_req_3b_headers_before_the_quoted_transport_are_walked(way: str, protocol: str,
                                                                          data: st.DataObject) -> None:
    """Also IPv6 extension headers, of which the quoted packet keeps all (those of IPv4: with all packets above)."""
    path = WAYS[way](6, protocol)
    head = data.draw(heads(6, path.src, path.dst))
    l4 = data.draw(transports(protocol, path.sport, path.dport))
    chain = data.draw(st.lists(st.tuples(st.sampled_from((0, 60, 135)), st.binary(max_size=30)), min_size=1,
                               max_size=4))
    packet = with_extensions(built(head, l4), chain)
    path.sender.send(packet)
    judge(path, packet, Quoting(data.draw(st.sampled_from((548, 1232)))), received=path.receiver.take_one())


@pytest.mark.parametrize("forward", ["ipip", "gue"])
@pytest.mark.parametrize(("inner", "outer"), [(4, 4), (4, 6), (6, 4), (6, 6)])
@examples(8)
@given(data=st.data())
def test_section_4_2_req_4_through_a_tunnel_the_inner_packet_is_quoted(forward: str, inner: int, outer: int,
                                                                      data: st.DataObject) -> None:
    """A router within the tunnel quotes the outer packet; the client hears about the inner one, just as it sent it."""
    scene = tunnelled(forward, inner, outer)
    scene.client.send(scene.request("S"))
    scene.net.discard()
    packet = built(data.draw(heads(inner, scene.client.addresses[0], scene.vip)),
                   data.draw(transports("tcp", 40000, 80)))
    scene.client.send(packet)
    seen = scene.net.take_one("server0").payload
    front = len(seen) - len(packet)
    room = data.draw(st.sampled_from((8, 20, 28, 400, 1500)))
    head = 40 if inner == 6 else packet.ihl * 4
    quoted = bytes(seen)[:front + head + room]
    router = IPv6(src="fd00:2::254", dst=OWN[6]) if outer == 6 else IP(src="10.0.2.254", dst=OWN[4])
    scene.servers[0].send(icmp_message(router, *UNREACHABLE[outer], body=quoted))
    error = scene.client.take_one()
    assert tuple(message(error)[:2]) == UNREACHABLE[inner]
    assert outer_flaws(error) == []
    assert message(error)[8:].hex() == bytes(packet)[:head + room].hex()
