"""RFC 826: how ARP packets are received: who is answered, and what is learnt of them."""

from hypothesis import given
from hypothesis import strategies as st

from tests.scenarios.frames import ARP, Ether
from tests.scenarios.network import Network
from tests.scenarios.shapes import V4, router

from .common import examples

A, B, OLD = "02:aa:00:00:00:01", "02:aa:00:00:00:02", "02:bb:00:00:00:99"
STRANGER, OTHER = "10.0.1.33", "10.0.1.44"
OURS = (V4.outside, V4.vip)
PADDING = st.sampled_from((0, 1, 18))
MESSAGES = st.tuples(
    st.sampled_from((1, 2)), st.sampled_from((A, B)),
    st.sampled_from((V4.client, STRANGER, "0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1")),
    st.sampled_from((*OURS, OTHER, V4.client)), PADDING)


class Twin:
    """The algorithm of the section "Packet Reception", over a dict; a reply teaches of nobody who was not known."""

    def __init__(self) -> None:
        self.table = {V4.client: OLD}

    def receives(self, operation: int, mac: str, sender: str, target: str) -> bool:
        """Whether a reply is owed."""
        merged = sender in self.table
        if merged:
            self.table[sender] = mac
        if target not in OURS or operation != 1:
            return False
        if not merged and sender == STRANGER:
            self.table[sender] = mac
        return True


def segment() -> Network:
    net = router(outside=("client", "other"), host=True)
    net.station("other", V4.client, mac=OLD).greet()
    return net


@examples(60)
@given(messages=st.lists(MESSAGES, min_size=1, max_size=8))
def test_packet_reception_as_the_algorithm_says(
        messages: list[tuple[int, str, str, str, int]]) -> None:
    """Who is known is updated by any packet; who is not, by a question for us; and questions for us are answered."""
    net, twin = segment(), Twin()
    own = net.mac("outside")
    for operation, mac, sender, target, padding in messages:
        frame = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=operation, hwsrc=mac, psrc=sender, pdst=target)
        net.send("client", bytes(frame) + bytes(padding))
        owed = twin.receives(operation, mac, sender, target)
        if owed:
            net.expect("client", Ether(src=own, dst=mac)
                       / ARP(op=2, hwsrc=own, psrc=target, hwdst=mac, pdst=sender))
        else:
            assert net.take("client") == []
        passed = [bytes(frame)[:42] for frame in net.take("other")]
        assert passed == ([] if owed else [bytes(frame)])
        net.take("outside-host")
        assert {ip: mac for ip, (mac, _) in net.neighbours().items()} == twin.table


@examples(20)
@given(hwtype=st.integers(0, 65535), ptype=st.integers(0, 65535), hwlen=st.integers(0, 255), plen=st.integers(0, 255))
def test_packet_reception_only_ethernet_and_ipv4(hwtype: int, ptype: int, hwlen: int, plen: int) -> None:
    """A packet of other hardware, protocol or lengths is not looked at any further."""
    if (hwtype, ptype, hwlen, plen) == (1, 0x0800, 6, 4):
        return
    net = segment()
    raw = bytearray(bytes(Ether(src=A, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=A, psrc=STRANGER, pdst=V4.vip)))
    raw[14:20] = hwtype.to_bytes(2, "big") + ptype.to_bytes(2, "big") + bytes((hwlen, plen))
    net.send("client", bytes(raw))
    net.expect_silence()
    assert net.drops() == {"bad_arp": 1}
    assert STRANGER not in net.neighbours()
