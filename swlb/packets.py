"""One network interface that was there before swlb: held by packet sockets, its own kernel kept out of what it hears.

Read first: packet(7), and tests/kernel/test_packet_socket.py and test_ingress_drop.py, where everything that is
believed here is tried out. Nothing outlives the descriptors but the interface's MTU and state, which `close` puts back.
How frames are read and written is ext/ports/packet.pxd.
"""

import ctypes
import errno
import fcntl
import os
import re
import socket
import struct
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from swlb.bpf import Op, Reg, alu, assemble, leave, link_to_ingress, new_classifier
from swlb.errors import PortError
from swlb.namespaces import netlink
from swlb.taps import IFF_UP, IFREQ_FLAGS, IFREQ_MTU, SIOCGIFFLAGS, SIOCGIFMTU, SIOCSIFFLAGS, DeviceState, calling

# linux/if_packet.h, if_ether.h, asm-generic/socket.h, sockios.h, ethtool.h, if_arp.h, pkt_cls.h, rtnetlink.h
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_FANOUT = 1, 8, 15, 18
PACKET_FANOUT_DATA, PACKET_IGNORE_OUTGOING = 22, 23
PACKET_FANOUT_EBPF, PACKET_FANOUT_FLAG_UNIQUEID = 7, 0x2000
PACKET_MR_PROMISC = 1
MREQ = struct.Struct("=iHH8x")  # device, kind, length of an address that is none
ETH_P_ALL = 3
SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_SNDBUFFORCE, SO_RCVBUFFORCE = 26, 27, 32, 33
SIOCGIFNAME, SIOCSIFMTU, SIOCGIFHWADDR = 0x8910, 0x8922, 0x8927
IFREQ_INDEX = struct.Struct("16si20x")
SIOCGIFINDEX, SIOCETHTOOL, ETHTOOL_GLINK = 0x8933, 0x8946, 0x0A
IFREQ_DATA = struct.Struct("16sQ16x")
ARPHRD_ETHER = 1
TC_ACT_SHOT = 2
SCOPE_LINK = 253

ROOM = 16 << 20  # bytes that wait in a socket: some 200 super-frames each way
NOTHING = struct.pack("=HBBI", 0x06, 0, 0, 0)  # a filter that lets nothing pass

OFFLOADS = ("CSUM", "TSO4", "TSO6", "TSO_ECN")
USO = ("USO4", "USO6")
USO_SINCE = (6, 2)  # Linux whose virtio-net header has a word for super-frames of datagrams

NO_DEVICE = "there is no interface of that name: 'ip link' lists them, and a namespace has its own"
NO_SUCH_MTU = "the interface takes no such mtu"
OLD_KERNEL = "a port on an existing interface needs Linux 6.6 or newer"


@dataclass(slots=True)
class Packet:
    """One interface that is held: `fds` are its packet sockets, one a worker, deaf until `listen`.

    `fence_fd` keeps the kernel of the namespace from hearing what the interface receives. All fields are as swlb
    found or set them; `watch` tells what they are now. There are no fds once it is closed.
    """

    fds: tuple[int, ...]
    port_name: str
    device: str
    offloads: tuple[str, ...]
    netns: str | None
    mtu: int
    index: int
    fence_fd: int
    found_up: bool
    found_mtu: int

    @property
    def fd(self) -> int:
        """The first socket, good for asking about the interface; -1 once it is closed."""
        return self.fds[0] if self.fds else -1

    def close(self) -> None:
        """The interface is as it was found. A second call does nothing."""
        fds, self.fds = self.fds, ()
        if not fds:
            return
        try:
            _put_back(fds[0], self)
        finally:
            for fd in (*fds, self.fence_fd):
                os.close(fd)


def hold(port_name: str, device: str, *, netns: str | None, mtu: int, queues: int) -> Packet:
    """The interface of the calling thread's namespace, which `netns` names, is held; up, and with that MTU.

    Raises PortError, and leaves everything as it was, when a call fails or the interface is somebody else's: one with
    an address is the kernel's, which would no longer hear anything there.
    """
    with calling(port_name, device, "SIOCGIFINDEX", {errno.ENODEV: NO_DEVICE}):
        index = _index(device)
    with calling(port_name, device, "ask for its addresses"):
        _refuse_addresses(port_name, device, index)
    with ExitStack() as undo:
        with calling(port_name, device, f"open {queues} packet sockets"):
            sockets = [undo.enter_context(_deaf_socket(device, index)) for _ in range(queues)]
        fd = sockets[0].fileno()
        with calling(port_name, device, "SIOCGIFFLAGS"):
            _refuse_other_kinds(port_name, device, fd)
            found_up, found_mtu = bool(_flags(fd, index) & IFF_UP), _look(fd, index).mtu
        with calling(port_name, device, "keep the kernel out", {errno.EINVAL: OLD_KERNEL}):
            fence_fd = _fence(index)
        undo.callback(os.close, fence_fd)
        packet = Packet((), port_name, device, _offloads(), netns, mtu, index, fence_fd, found_up, found_mtu)
        undo.callback(_put_back, fd, packet)
        with calling(port_name, device, f"SIOCSIFMTU {mtu}", {errno.EINVAL: NO_SUCH_MTU}):
            _set_mtu(fd, index, mtu)
        with calling(port_name, device, "SIOCSIFFLAGS"):
            _set_up(fd, index, up=True)
        undo.pop_all()
    packet.fds = tuple(sock.detach() for sock in sockets)
    return packet


def listen(packet: Packet, program_fd: int | None) -> None:
    """Frames come in by the sockets: by the one whose number the program says, or without one by the first."""
    sockets = [socket.socket(fileno=os.dup(fd)) for fd in packet.fds]
    try:
        with calling(packet.port_name, packet.device, "PACKET_FANOUT"):
            if program_fd is not None and len(sockets) > 1:
                _share(sockets, program_fd)
            else:
                del sockets[1:]
        with calling(packet.port_name, packet.device, "SO_DETACH_FILTER"):
            for sock in sockets:
                sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
    finally:
        for sock in sockets:
            sock.close()


def steer(packet: Packet, program_fd: int) -> None:
    """The sockets, which share the frames, do so by another program from the next frame on."""
    with socket.socket(fileno=os.dup(packet.fd)) as sock, calling(packet.port_name, packet.device, "PACKET_FANOUT"):
        sock.setsockopt(SOL_PACKET, PACKET_FANOUT_DATA, program_fd)


def set_mtu(packet: Packet, mtu: int) -> None:
    """The interface has that MTU."""
    with calling(packet.port_name, packet.device, f"SIOCSIFMTU {mtu}", {errno.EINVAL: NO_SUCH_MTU}):
        _set_mtu(packet.fd, packet.index, mtu)
        packet.mtu = mtu


def watch(packet: Packet) -> DeviceState:
    """What has become of the interface, under whatever name; one that is in another namespace now is lost."""
    with calling(packet.port_name, packet.device, "watch"):
        try:
            return _look(packet.fd, packet.index)
        except OSError as error:
            if error.errno not in (errno.ENODEV, errno.EBADF):
                raise
    return DeviceState(present=False, up=False, mtu=0, device=packet.device, netns_id=(0, 0))


def _refuse_addresses(port_name: str, device: str, index: int) -> None:
    """Raises for an interface that the kernel talks by. An IPv6 address of the link's own is no such talk."""
    for entry in netlink(lambda ip: list(ip.get_addr(index=index))):
        if entry["scope"] != SCOPE_LINK:
            address = f"{entry.get('IFA_LOCAL') or entry.get('IFA_ADDRESS')}/{entry['prefixlen']}"
            error = OSError(errno.EADDRINUSE, f"it has the address {address}")
            advice = (
                "the kernel would not hear anything there any more: take the address away"
                f" ('ip address del {address} dev {device}'), or give it to the segment instead"
            )
            raise PortError(port=port_name, device=device, call="hold", error=error, advice=advice)


def _refuse_other_kinds(port_name: str, device: str, fd: int) -> None:
    kind = IFREQ_FLAGS.unpack(fcntl.ioctl(fd, SIOCGIFHWADDR, IFREQ_FLAGS.pack(device.encode(), 0)))[1]
    if kind != ARPHRD_ETHER:
        error = OSError(errno.EPFNOSUPPORT, f"its frames are not Ethernet's (ARPHRD {kind})")
        raise PortError(port=port_name, device=device, call="hold", error=error, advice="choose an Ethernet interface")


def _deaf_socket(device: str, index: int) -> socket.socket:
    """A packet socket of the interface, in promiscuous mode, that gets nothing as yet."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    try:
        _attach_filter(sock, NOTHING)
        sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
        sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, ROOM)
        sock.bind((device, ETH_P_ALL))
        sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, MREQ.pack(index, PACKET_MR_PROMISC, 0))
    except BaseException:
        sock.close()
        raise
    return sock


def _attach_filter(sock: socket.socket, code: bytes) -> None:
    room = ctypes.create_string_buffer(code, len(code))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(code) // 8, ctypes.addressof(room)))


def _share(sockets: list[socket.socket], program_fd: int) -> None:
    """Each frame is one socket's: the number that the program says is that of its place in the list."""
    kind = PACKET_FANOUT_EBPF
    sockets[0].setsockopt(SOL_PACKET, PACKET_FANOUT, (kind | PACKET_FANOUT_FLAG_UNIQUEID) << 16)
    group = sockets[0].getsockopt(SOL_PACKET, PACKET_FANOUT) & 0xFFFF
    sockets[0].setsockopt(SOL_PACKET, PACKET_FANOUT_DATA, program_fd)
    for sock in sockets[1:]:
        sock.setsockopt(SOL_PACKET, PACKET_FANOUT, kind << 16 | group)


def _fence(index: int) -> int:
    """While the descriptor is open, what the interface receives ends behind the packet sockets, which come first."""
    program_fd = new_classifier(assemble([alu(Op.MOV, Reg.R0, TC_ACT_SHOT), leave()]))
    try:
        return link_to_ingress(program_fd, index)
    finally:
        os.close(program_fd)


def _offloads() -> tuple[str, ...]:
    """What the sockets take. An interface without them is no obstacle: the kernel does it on the way out."""
    release = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    return OFFLOADS + USO if release >= USO_SINCE else OFFLOADS


def _index(device: str) -> int:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        asked = fcntl.ioctl(sock, SIOCGIFINDEX, IFREQ_INDEX.pack(device.encode(), 0))
    index: int = IFREQ_INDEX.unpack(asked)[1]
    return index


# A socket is asked in the namespace it was made in, wherever the calling thread is.


def _name(fd: int, index: int) -> bytes:
    """What the interface is called at this moment, padded with zeros. ENODEV: it is not in the socket's namespace."""
    return IFREQ_INDEX.unpack(fcntl.ioctl(fd, SIOCGIFNAME, IFREQ_INDEX.pack(b"", index)))[0]


def _flags(fd: int, index: int) -> int:
    return IFREQ_FLAGS.unpack(fcntl.ioctl(fd, SIOCGIFFLAGS, IFREQ_FLAGS.pack(_name(fd, index), 0)))[1]


def _look(fd: int, index: int) -> DeviceState:
    name = _name(fd, index)
    mtu = IFREQ_MTU.unpack(fcntl.ioctl(fd, SIOCGIFMTU, IFREQ_MTU.pack(name, 0)))[1]
    # One whose cable is pulled, or whose other end is down, is no use although it is up.
    up = bool(_flags(fd, index) & IFF_UP) and _has_link(fd, name)
    return DeviceState(True, up, mtu, name.rstrip(b"\0").decode(), (0, 0))


def _has_link(fd: int, name: bytes) -> bool:
    """Whether its link is there; of an interface that cannot say, yes."""
    # Not IFF_RUNNING, which follows some time later.
    value = (ctypes.c_uint32 * 2)(ETHTOOL_GLINK, 0)
    try:
        fcntl.ioctl(fd, SIOCETHTOOL, IFREQ_DATA.pack(name, ctypes.addressof(value)))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return True
    return bool(value[1])


def _set_mtu(fd: int, index: int, mtu: int) -> None:
    if _look(fd, index).mtu != mtu:
        fcntl.ioctl(fd, SIOCSIFMTU, IFREQ_MTU.pack(_name(fd, index), mtu))


def _set_up(fd: int, index: int, *, up: bool) -> None:
    flags = _flags(fd, index)
    if bool(flags & IFF_UP) != up:
        fcntl.ioctl(fd, SIOCSIFFLAGS, IFREQ_FLAGS.pack(_name(fd, index), flags ^ IFF_UP))


def _put_back(fd: int, packet: Packet) -> None:
    """MTU and state are as they were found, unless somebody else has changed them since, or the interface is gone."""
    with suppress(OSError):
        if _look(fd, packet.index).mtu == packet.mtu:
            _set_mtu(fd, packet.index, packet.found_mtu)
        if not packet.found_up:
            _set_up(fd, packet.index, up=False)
