"""One TAP or TUN device: creating it, bringing it up, and what has become of it since.

Read first: Documentation/networking/tuntap.rst of the kernel, and tests/kernel/, where everything that is
believed about TAP devices here is tried out. Moving, naming and addressing devices is devices.py.
"""

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass

import pytun
from pyroute2.netlink.exceptions import NetlinkError

from swlb.errors import PortError
from swlb.namespaces import THREAD_NETNS, entered

TUN_PATH = "/dev/net/tun"

# linux/if_tun.h and linux/sockios.h; Debian 12's if_tun.h has no USO bits yet, so all are written out.
TUNSETOFFLOAD = 0x400454D0
TUNGETIFF = 0x800454D2
TUNGETVNETHDRSZ = 0x800454D7
TUNGETDEVNETNS = 0x54E3
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
SIOCGIFMTU, SIOCSIFMTU = 0x8921, 0x8922
IFF_UP, IFF_NOARP = 0x1, 0x80
IFNAMSIZ = 16  # with the final zero
IFREQ_NAME = struct.Struct("16s24x")
IFREQ_FLAGS = struct.Struct("16sH22x")
IFREQ_MTU = struct.Struct("16si20x")

OFFLOADS = {"CSUM": 0x01, "TSO4": 0x02, "TSO6": 0x04, "TSO_ECN": 0x08, "USO4": 0x20, "USO6": 0x40}
# Newest first: USO came with Linux 6.2, the others are as old as the header itself.
OFFLOAD_SETS = (
    ("CSUM", "TSO4", "TSO6", "TSO_ECN", "USO4", "USO6"),
    ("CSUM", "TSO4", "TSO6", "TSO_ECN"),
    ("CSUM", "TSO4", "TSO6"),
    ("CSUM",),
    (),
)
VNET_HDR_LEN = 10  # the kernel's default; 10 + 14 leaves the IP header 8-byte aligned

NO_RIGHT = "run as root or with CAP_NET_ADMIN, for ports in namespaces CAP_SYS_ADMIN as well"
NO_TUN = f"load the driver with 'modprobe tun'; a container needs '--device {TUN_PATH}'"
NO_ADVICE = "the kernel's log (dmesg) may say more"
NO_DESCRIPTOR = "allow more open files (LimitNOFILE= of a systemd unit, or 'ulimit -n')"
ADVICE = {errno.EPERM: NO_RIGHT, errno.EACCES: NO_RIGHT, errno.EMFILE: NO_DESCRIPTOR}

# What the calls of `watch` say about a device that is gone; EINVAL: its namespace is being taken down just now.
GONE = (errno.EBADFD, errno.EBADF, errno.EINVAL)


@dataclass(slots=True)
class Tap:
    """One open TAP or TUN: frames go through `fds` (of a TUN, packets), the kernel's end is `device` in `netns`.

    None for `netns`: where swlb runs.

    Each of the fds is a queue: a frame that the kernel sends waits in one of them, and any may be written.
    All fields are as swlb has set them; `watch` tells what they are now. There are no fds once it is closed.
    """

    fds: tuple[int, ...]
    port_name: str
    device: str
    offloads: tuple[str, ...]
    netns: str | None
    mtu: int
    mac: bytes

    @property
    def fd(self) -> int:
        """The first queue, good for asking about the device; -1 once it is closed."""
        return self.fds[0] if self.fds else -1

    def close(self) -> None:
        """The device is gone, with its addresses and routes. A second call does nothing."""
        fds, self.fds = self.fds, ()
        for fd in fds:
            os.close(fd)


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The kernel's end of a TAP as it is now. A lost one is not `present`, and `device` is its name at opening."""

    present: bool
    up: bool
    mtu: int
    device: str
    netns_id: tuple[int, int]


def create(
    port_name: str,
    device: str,
    *,
    birth_name: str,
    mtu: int,
    mac: bytes | None = None,
    queues: int = 1,
    ethernet: bool = True,
) -> Tap:
    """A TAP of so many queues, still down and called `birth_name`, in the calling thread's namespace.

    Without `ethernet` it is a TUN. `device` is the name it is meant to get. A `birth_name` with %d takes the first
    free number.
    """
    no_tun = dict.fromkeys((errno.ENOENT, errno.ENODEV, errno.ENXIO), NO_TUN)
    with calling(port_name, device, f"open {TUN_PATH}", no_tun):
        os.close(os.open(TUN_PATH, os.O_RDWR))
    # Not for one queue: with the flag the kernel makes room, and a queueing discipline, for 256.
    kind = (pytun.IFF_TAP if ethernet else pytun.IFF_TUN) | (pytun.IFF_MULTI_QUEUE if queues > 1 else 0)
    flags = kind | pytun.IFF_NO_PI | pytun.IFF_VNET_HDR
    bad_name = {errno.EBUSY: name_is_taken(device, None), errno.ENAMETOOLONG: "a device's name has 1 to 15 bytes"}
    with calling(port_name, device, "TUNSETIFF", bad_name):
        _check_name_len(device)
        tun = pytun.TunTapDevice(name=birth_name, flags=flags | pytun.IFF_TUN_EXCL, dev=TUN_PATH)
    try:
        with calling(port_name, device, "TUNGETVNETHDRSZ"):
            _check_vnet_hdr_len(tun.fileno())
        # TUNSETSNDBUF is left alone: with any limit set the kernel no longer takes its short way for small frames.
        with calling(port_name, device, "TUNSETOFFLOAD"):
            offloads = _set_offloads(tun.fileno())
        with calling(port_name, device, f"SIOCSIFMTU {mtu}", {errno.EINVAL: "a TAP takes an mtu from 68 to 65521"}):
            tun.mtu = mtu
        if mac is not None:
            group = {errno.EADDRNOTAVAIL: "a device's MAC is neither zero nor a group's"}
            with calling(port_name, device, f"SIOCSIFHWADDR {mac.hex(':')}", group):
                tun.hwaddr = mac
        own_mac = tun.hwaddr
        with calling(port_name, device, f"open {queues} queues"):
            # Now: once it is moved or renamed, its name would have to be looked for.
            fds = _all_queues(tun, queues, flags)
        return Tap(fds, port_name, device, offloads, netns=None, mtu=mtu, mac=own_mac)
    finally:
        tun.close()


def set_up(tap: Tap, *, arp: bool = True) -> None:
    """The device is up; it is looked for in the calling thread's namespace.

    Without `arp` its kernel asks nobody for a MAC, and sends everything to the device's own.
    """
    more = IFF_UP if arp else IFF_UP | IFF_NOARP
    name = tap.device.encode()
    with calling(tap.port_name, tap.device, "SIOCSIFFLAGS"), _control_socket() as control:
        flags = IFREQ_FLAGS.unpack(fcntl.ioctl(control, SIOCGIFFLAGS, IFREQ_FLAGS.pack(name, 0)))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, IFREQ_FLAGS.pack(name, flags | more))


def set_arp(tap: Tap, *, arp: bool) -> None:
    """The kernel asks for MACs on the device, or no longer, wherever the device is now; what it knew is forgotten."""
    with calling(tap.port_name, tap.device, "SIOCSIFFLAGS"), beside(tap) as name, _control_socket() as control:
        flags = IFREQ_FLAGS.unpack(fcntl.ioctl(control, SIOCGIFFLAGS, IFREQ_FLAGS.pack(name.encode(), 0)))[1]
        flags = flags & ~IFF_NOARP if arp else flags | IFF_NOARP
        fcntl.ioctl(control, SIOCSIFFLAGS, IFREQ_FLAGS.pack(name.encode(), flags))


def set_mtu(tap: Tap, mtu: int) -> None:
    """The device has that MTU, wherever it is now."""
    with calling(tap.port_name, tap.device, f"SIOCSIFMTU {mtu}"), beside(tap) as name, _control_socket() as control:
        fcntl.ioctl(control, SIOCSIFMTU, IFREQ_MTU.pack(name.encode(), mtu))
        tap.mtu = mtu


def present_name(fd: int) -> bytes:
    """What the device is called at this moment, padded with zeros."""
    return IFREQ_NAME.unpack(fcntl.ioctl(fd, TUNGETIFF, bytes(IFREQ_NAME.size)))[0]


def watch(tap: Tap) -> DeviceState:
    """What has become of the device, in whatever namespace and under whatever name it is now.

    Takes some 50 us. Nothing is kept open in the device's namespace: a socket there would keep a deleted
    namespace alive, and the device with it.
    """
    with calling(tap.port_name, tap.device, "watch"):
        for _ in range(3 if tap.fd >= 0 else 0):
            try:
                return _look(tap)
            except OSError as error:
                if error.errno in GONE:
                    break
                # Renamed or moved between two calls: once more, with the new name.
                if error.errno != errno.ENODEV:
                    raise
    return DeviceState(present=False, up=False, mtu=0, device=tap.device, netns_id=(0, 0))


def name_is_taken(device: str, netns: str | None) -> str:
    """What to do about it."""
    ip = "ip" if netns is None else f"ip -n {netns}"
    return f"there is a device of that name already ('{ip} link show {device}'): delete it or choose another name"


@contextmanager
def calling(port_name: str, device: str, call: str, advice: Mapping[int, str] | None = None) -> Iterator[None]:
    """Within the block, a failing system call or netlink request comes out as PortError.

    `advice` says by errno what to do where this call has more to say than the general words.
    """
    try:
        yield
    except (OSError, NetlinkError) as failure:
        error = failure if isinstance(failure, OSError) else OSError(failure.code, os.strerror(failure.code))
        todo = (ADVICE | dict(advice or {})).get(error.errno or 0, NO_ADVICE)
        raise PortError(port=port_name, device=device, call=call, error=error, advice=todo) from failure


@contextmanager
def beside(tap: Tap) -> Iterator[str]:
    """Within the block the calling thread is in the namespace where the device is now; its present name.

    OSError with one of GONE: the device is lost.
    """
    netns_fd = fcntl.ioctl(tap.fd, TUNGETDEVNETNS)
    try:
        name = present_name(tap.fd).rstrip(b"\0").decode()
        with entered(netns_fd):
            yield name
    finally:
        os.close(netns_fd)


def _look(tap: Tap) -> DeviceState:
    with beside(tap) as name, _control_socket() as control:
        flags = IFREQ_FLAGS.unpack(fcntl.ioctl(control, SIOCGIFFLAGS, IFREQ_FLAGS.pack(name.encode(), 0)))[1]
        mtu = IFREQ_MTU.unpack(fcntl.ioctl(control, SIOCGIFMTU, IFREQ_MTU.pack(name.encode(), 0)))[1]
        netns = os.stat(THREAD_NETNS)
    return DeviceState(True, bool(flags & IFF_UP), mtu, name, (netns.st_dev, netns.st_ino))


def _control_socket() -> socket.socket:
    """A socket that is good for nothing but SIOC ioctls in the calling thread's namespace."""
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def _check_name_len(device: str) -> None:
    """Checked before it is created, and not where it arrives: pytun and netlink refuse it in two other ways."""
    if not 0 < len(device.encode()) < IFNAMSIZ:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))


def _check_vnet_hdr_len(fd: int) -> None:
    (length,) = struct.unpack("i", fcntl.ioctl(fd, TUNGETVNETHDRSZ, bytes(4)))
    if length != VNET_HDR_LEN:
        raise OSError(errno.EPROTO, f"virtio-net header of {length} bytes, expected {VNET_HDR_LEN}")


def _set_offloads(fd: int) -> tuple[str, ...]:
    """The most that this kernel accepts: it refuses a bit it does not know with EINVAL."""
    for names in OFFLOAD_SETS:
        try:
            fcntl.ioctl(fd, TUNSETOFFLOAD, sum(OFFLOADS[name] for name in names))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        else:
            return names
    raise OSError(errno.EINVAL, "not even none is accepted")


def _all_queues(first: pytun.TunTapDevice, queues: int, flags: int) -> tuple[int, ...]:
    """Descriptors of so many queues of the TAP, which the calling thread's namespace has; the first one first.

    Offloads, MTU and the length of the header are the device's.
    """
    fds: list[int] = []
    try:
        fds.append(_own(first))
        while len(fds) < queues:
            with closing(pytun.TunTapDevice(name=first.name, flags=flags, dev=TUN_PATH)) as another:
                fds.append(_own(another))
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    return tuple(fds)


def _own(tun: pytun.TunTapDevice) -> int:
    """A non-blocking descriptor of the same TAP that child processes do not inherit.

    pytun opens without O_CLOEXEC, and a child that held the file would keep the device after we close it.
    """
    fd = os.dup(tun.fileno())
    os.set_blocking(fd, False)
    return fd
