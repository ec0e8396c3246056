"""How `swlb decap` begins, follows what becomes of its host, and ends."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from netns.capture import capturing
from netns.running import ROOT, SWLB, Host, inside, wait_until
from netns.traffic import ping
from netns.tunnels import DEVICE, VIPS, Decap, Pair, a_pair, balancing, unpacking, words_for, wrapped

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture
def hosts(make_netns) -> tuple[Host, Host]:
    return a_pair(make_netns)


@pytest.fixture
def pair(hosts, tmp_path) -> Iterator[Pair]:
    client, server = hosts
    with unpacking(server, tmp_path) as decap:
        yield Pair(client, server, decap)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_it(hosts, tmp_path, number):
    _, server = hosts
    before = server.ip("address show"), server.ip("rule show"), server.ip("route show table all")
    with unpacking(server, tmp_path) as decap:
        assert DEVICE in server.ip("address show")
        assert decap.stop(number) == (-number if number == signal.SIGKILL else 0)

    def after() -> tuple[str, str, str]:
        return server.ip("address show"), server.ip("rule show"), server.ip("route show table all")

    wait_until(lambda: after() == before, "all as before")


def test_what_was_counted_is_its_last_word(pair):
    with balancing(pair, "ipip", 4):
        assert ping(pair.client, VIPS[4]) == VIPS[4]
    assert pair.decap.stop() == 0
    ways = json.loads(pair.decap.output[-1])["tunnels"]
    assert [(way["tunnel"], way["outer"], way["inner"]) for way in ways if way["packets"]] == [("ipip", 4, 4)]


def test_for_people_there_are_tables(hosts):
    _, server = hosts
    argv = [*inside(server.netns), *SWLB, "decap", *words_for(VIPS.values()), "--no-gue"]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        said, _ = process.communicate(timeout=10)
    rows = [line.split() for line in said.splitlines()]
    assert rows[0] == ["tunnel", "outer", "inner", "packets", "bytes"]
    assert rows[1:5] == [["ipip", outer, inner, "0", "0"] for outer in "46" for inner in "46"]
    assert said.splitlines()[5] == "no packet was refused"


def test_vips_that_the_host_has_stay_where_they_are(hosts, tmp_path):
    client, server = hosts
    server.ip(f"address add {VIPS[4]}/32 dev lo")
    with unpacking(server, tmp_path) as decap, balancing(Pair(client, server, decap), "ipip", 4):
        on_device = server.ip(f"address show {DEVICE}")
        assert VIPS[4] not in on_device
        assert f"{VIPS[6]}/128" in on_device
        assert ping(client, VIPS[4]) == VIPS[4]
    assert VIPS[4] in server.ip("address show lo")


def test_two_of_them_share_the_work(hosts, tmp_path):
    client, server = hosts
    more = tmp_path / "more"
    more.mkdir()
    with (
        unpacking(server, tmp_path, "--no-gue") as first,
        unpacking(server, more, "--no-ipip", "--device", "swdecap1") as second,
    ):
        for kind, decap in (("ipip", first), ("gue", second)):
            with balancing(Pair(client, server, decap), kind, 4):
                assert ping(client, VIPS[6]) == VIPS[6]
            ways = {way["tunnel"]: 0 for way in decap.report()["tunnels"]}
            assert list(ways) == [kind]


def test_a_strict_reverse_path_filter_does_not_stop_it(hosts, tmp_path):
    client, server = hosts
    for who in ("all", "default"):
        assert server.run("sysctl", "-qw", f"net.ipv4.conf.{who}.rp_filter=1").returncode == 0
    with unpacking(server, tmp_path) as decap, balancing(Pair(client, server, decap), "ipip", 4):
        assert ping(client, VIPS[4]) == VIPS[4]


def test_ipv6_that_is_off_for_new_devices_is_on_for_this_one(hosts, tmp_path):
    client, server = hosts
    assert server.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1").returncode == 0
    with unpacking(server, tmp_path) as decap, balancing(Pair(client, server, decap), "ipip", 6):
        assert ping(client, VIPS[6]) == VIPS[6]


@FAMILIES
def test_a_tunnel_may_end_at_an_address_that_came_later_and_none_that_went(pair, family):
    later = {4: "10.0.0.12", 6: "fd00::12"}[family]
    pair.server.ip(f"address add {later}/{24 if family == 4 else '64 nodad'} dev eth0")
    inner = {4: IP(src="10.0.0.10", dst=VIPS[4]), 6: IPv6(src="fd00::10", dst=VIPS[6])}[family] / TCP(dport=1)
    pair.send(wrapped("ipip", pair.outer(family, dst=later), bytes(inner)))
    wait_until(lambda: pair.decap.passed("ipip", family, family) == 1, "passed")
    # An address that is the host's own stands for no client.
    spoofed = inner.copy()
    spoofed.src = later
    pair.send(wrapped("ipip", pair.outer(family), bytes(spoofed)))
    wait_until(lambda: refused(pair.decap, "bad_source") == 1, "refused")
    pair.server.ip(f"address delete {later}/{24 if family == 4 else 64} dev eth0")
    pair.send(wrapped("ipip", pair.outer(family), bytes(spoofed)))
    wait_until(lambda: pair.decap.passed("ipip", family, family) == 2, "passed again")


def refused(decap: Decap, reason: str) -> int:
    return next(row["packets"] for row in decap.report()["drops"] if row["reason"] == reason)


@pytest.mark.parametrize("outer", [4, 6])
@FAMILIES
def test_segments_that_the_kernel_merged_on_their_way_in_are_taken_as_one(pair, outer, family):
    let_kernel_merge(pair)
    segments = []
    for n in range(3):
        header = {4: IP(src="10.0.0.10", dst=VIPS[4], id=n, flags="DF"), 6: IPv6(src="fd00::10", dst=VIPS[6])}[family]
        segments.append(header / TCP(sport=4000, dport=9, seq=1000 * n, flags="A", ack=7) / Raw(b"x" * 1000))
    outers = [pair.outer(outer, **({"id": n, "flags": "DF"} if outer == 4 else {})) for n in range(3)]
    with capturing(Host("server", pair.server.netns, DEVICE, ())) as came:
        pair.send(*(wrapped("ipip", *each) for each in zip(outers, map(bytes, segments), strict=True)))
        wait_until(lambda: pair.decap.passed("ipip", outer, family) > 0, "passed")
    (merged,) = [frame for frame in came.frames if not frame.outgoing]
    assert merged.data.endswith(b"x" * 3000)
    assert merged.checksum_pending
    assert re.search("^TcpInCsumErrors +0 ", pair.server.run("nstat", "-asz").stdout, re.MULTILINE)


def let_kernel_merge(pair: Pair) -> None:
    """What comes to the server within 50 ms is merged (GRO)."""
    # veth merges nothing for a sender that has segmentation offloads.
    assert pair.client.run("ethtool", "-K", "eth0", "tso", "off").returncode == 0
    script = (
        "ethtool -K eth0 gro on && mount -t sysfs none /sys && cd /sys/class/net/eth0"
        " && echo 50000000 > gro_flush_timeout && echo 100 > napi_defer_hard_irqs"
    )
    done = pair.server.run("unshare", "--mount", "sh", "-c", script)
    assert done.returncode == 0, done.stderr


def failing(server: Host, *words: str, before: tuple[str, ...] = ()) -> str:
    """What `swlb decap` says on its way to exit code 1; `before` is written before the command."""
    argv = [*inside(server.netns), *before, *SWLB, "decap", *words_for(VIPS.values()), *words]
    done = subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert DEVICE not in server.ip("link show")
    return done.stderr


def test_without_the_rights_it_names_them(hosts):
    said = failing(hosts[1], before=("setpriv", "--bounding-set", "-net_raw,-net_admin"))
    assert said == (
        "receive protocol 4 over IPv4: Operation not permitted; "
        "run as root or with CAP_NET_ADMIN and CAP_NET_RAW (a container needs '--cap-add' for both)\n"
    )


def test_without_the_right_to_make_devices_it_names_it(hosts):
    said = failing(hosts[1], before=("setpriv", "--bounding-set", "-net_admin"))
    assert said.startswith("create device swdecap0: Operation not permitted; run as root or with CAP_NET_ADMIN")


def test_without_a_tun_driver_it_says_where_it_comes_from(hosts):
    hide = 'mount -t tmpfs none /dev/net && exec "$@"'
    said = failing(hosts[1], before=("unshare", "--mount", "sh", "-c", hide, "-"))
    assert said == (
        "open /dev/net/tun: No such file or directory; "
        "load the driver with 'modprobe tun'; a container needs '--device /dev/net/tun'\n"
    )


def test_a_name_that_is_taken_or_too_long_is_named(hosts):
    _, server = hosts
    assert failing(server, "--device", "eth0").startswith("create device eth0: Device or resource busy; there is a dev")
    assert "a device's name has 1 to 15 bytes" in failing(server, "--device", "d" * 16)


def test_a_port_that_is_taken_is_named(hosts):
    _, server = hosts
    with server.socket(6, socket.SOCK_DGRAM) as other:
        other.bind(("::", 6081))
        said = failing(server, "--gue-port", "6081")
    assert said.startswith("listen on UDP port 6081 of IPv4: Address already in use; somebody else has it")


def test_a_device_that_is_deleted_ends_it(hosts, tmp_path):
    client, server = hosts
    decap = Decap(server, tmp_path)
    decap.wait_ready()
    server.ip(f"link delete {DEVICE}")
    inner = bytes(IP(src="10.0.0.10", dst=VIPS[4]) / TCP())
    pair = Pair(client, server, decap)
    pair.send(wrapped("ipip", pair.outer(4), inner))
    assert decap.process.wait(timeout=10) == 1
    assert (tmp_path / "stderr").read_text() == "the TUN device has been deleted: start again\n"
