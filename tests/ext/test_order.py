from swlb import _testing as c


def test_only_the_order_of_bytes_changes() -> None:
    assert (c.htons(0x0102), c.ntohs(0x0102)) == (0x0201, 0x0201)
    assert (c.htonl(0x01020304), c.ntohl(0x01020304)) == (0x04030201, 0x04030201)


def test_loads_take_bytes_as_they_lie_in_memory() -> None:
    data = bytes(range(1, 9))
    assert c.load16(data) == int.from_bytes(data[:2], "little")
    assert c.load32(data) == int.from_bytes(data[:4], "little")
    assert c.load64(data) == int.from_bytes(data, "little")
