"""The TAP of a port, as `ip` sees it."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import closing

import pytest

from swlb import taps
from swlb.devices import namespace, open_tap
from swlb.errors import PortError

pytestmark = pytest.mark.root

ALL_OFFLOADS = ("CSUM", "TSO4", "TSO6", "TSO_ECN", "USO4", "USO6")


def links(netns: str) -> dict[str, dict]:
    """The devices of a namespace by name, without `lo`."""
    command = ["ip", "-n", netns, "-json", "-details", "link", "show"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {link["ifname"]: link for link in json.loads(output) if link["ifname"] != "lo"}


@pytest.fixture
def home(make_netns):
    """A namespace that swlb runs in, so that what other programs do on this machine does not matter."""
    name = make_netns()
    with namespace(name):
        yield name


@pytest.fixture
def tap(home, netns):
    with closing(open_tap("client", "swc0", netns=netns, mtu=1400)) as tap:
        yield tap


def test_the_device_is_in_its_namespace_and_not_at_home(tap, home, netns):
    assert (list(links(netns)), list(links(home))) == (["swc0"], [])


def test_the_device_is_up(tap, netns):
    assert "UP" in links(netns)["swc0"]["flags"]


def test_the_device_has_the_mtu_asked_for(tap, netns):
    assert links(netns)["swc0"]["mtu"] == 1400


def test_the_device_keeps_the_default_queue_of_1000(tap, netns):
    assert links(netns)["swc0"]["txqlen"] == 1000


def test_the_device_is_a_tap_with_vnet_header_that_does_not_persist(tap, netns):
    kind = links(netns)["swc0"]["linkinfo"]
    wanted = {"type": "tap", "pi": False, "vnet_hdr": True, "persist": False}
    assert kind["info_kind"] == "tun"
    assert kind["info_data"].items() >= wanted.items()


def test_the_mac_of_the_tap_is_that_of_the_device(tap, netns):
    assert tap.mac.hex(":") == links(netns)["swc0"]["address"]


def test_a_mac_asked_for_is_the_device_s(home, netns):
    with closing(open_tap("client", "swc0", netns=netns, mtu=1500, mac=bytes.fromhex("025e00000001"))):
        assert links(netns)["swc0"]["address"] == "02:5e:00:00:00:01"


def test_without_a_namespace_the_device_is_at_home(home):
    with closing(open_tap("client", "swc0", netns=None, mtu=1500)):
        assert list(links(home)) == ["swc0"]


def test_the_same_name_at_home_is_no_obstacle(home, netns):
    subprocess.run(["ip", "-n", home, "link", "add", "swc0", "type", "veth"], check=True)
    with closing(open_tap("client", "swc0", netns=netns, mtu=1500)):
        assert list(links(netns)) == ["swc0"]


def test_the_name_a_device_is_born_with_may_be_taken_on_both_sides(home, netns):
    for name in (home, netns):
        subprocess.run(["ip", "-n", name, "link", "add", "swlb0", "type", "veth", "peer", "swlb1"], check=True)
    subprocess.run(["ip", "-n", netns, "link", "set", "swlb1", "name", "swlb2"], check=True)
    with closing(open_tap("client", "swc0", netns=netns, mtu=1500)):
        assert set(links(netns)) == {"swlb0", "swlb2", "swc0"}


def test_two_namespaces_may_have_devices_of_one_name(home, make_netns):
    one, other = make_netns(), make_netns()
    with (
        closing(open_tap("a", "swc0", netns=one, mtu=1500)),
        closing(open_tap("b", "swc0", netns=other, mtu=1500)),
    ):
        assert (list(links(one)), list(links(other))) == (["swc0"], ["swc0"])


def test_all_offloads_of_this_kernel_are_taken(tap):
    assert tap.offloads == ALL_OFFLOADS


def test_a_kernel_that_refuses_uso_is_asked_without(home, netns, monkeypatch):
    monkeypatch.setitem(taps.OFFLOADS, "USO4", 0x4000_0000)
    with closing(open_tap("client", "swc0", netns=netns, mtu=1500)) as tap:
        assert tap.offloads == ("CSUM", "TSO4", "TSO6", "TSO_ECN")


def test_a_read_without_a_frame_does_not_block(tap):
    assert not os.get_blocking(tap.fd)


def test_it_opens_within_a_running_event_loop(home, netns):
    async def reload():
        return open_tap("client", "swc0", netns=netns, mtu=1500)

    with closing(asyncio.run(reload())):
        assert list(links(netns)) == ["swc0"]


def test_close_leaves_nothing(tap, home, netns):
    tap.close()
    assert (links(netns), links(home)) == ({}, {})


def test_a_second_close_does_nothing(tap):
    tap.close()
    tap.close()
    assert tap.fd == -1


def test_a_child_process_does_not_keep_the_device(tap, netns):
    # close_fds=False: only O_CLOEXEC stands between the child and the file.
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        tap.close()
        found = links(netns)
        child.kill()
    assert found == {}


def test_no_file_stays_open_after_close(home, netns):
    before = os.listdir("/proc/self/fd")
    open_tap("client", "swc0", netns=netns, mtu=1500).close()
    assert os.listdir("/proc/self/fd") == before


def test_a_name_that_exists_in_the_namespace_is_refused(tap, home, netns):
    with pytest.raises(PortError, match=rf"^port other \(swc0\): .*File exists; .*'ip -n {netns} link show swc0'"):
        open_tap("other", "swc0", netns=netns, mtu=1500)


def test_a_name_that_exists_at_home_is_refused(home):
    subprocess.run(["ip", "tuntap", "add", "swc0", "mode", "tap"], check=True)
    with pytest.raises(PortError, match=r"^port client \(swc0\): TUNSETIFF: .*; .*'ip link show swc0'"):
        open_tap("client", "swc0", netns=None, mtu=1500)


def test_a_missing_namespace_is_named_with_the_command_that_makes_it(home):
    with pytest.raises(PortError, match=r"^port client \(swc0\): .* No such file .*'ip netns add swlb-no-such'"):
        open_tap("client", "swc0", netns="swlb-no-such", mtu=1500)


def test_an_mtu_that_linux_does_not_take_is_named_with_its_bounds(home, netns):
    with pytest.raises(PortError, match="SIOCSIFMTU 65522: Invalid argument; a TAP takes an mtu from 68 to 65521"):
        open_tap("client", "swc0", netns=netns, mtu=65522)


def test_a_name_too_long_is_refused(home, netns):
    with pytest.raises(PortError, match="a device's name has 1 to 15 bytes"):
        open_tap("client", "x" * 16, netns=netns, mtu=1500)


def test_a_missing_dev_net_tun_is_named_with_what_brings_it(home, monkeypatch):
    monkeypatch.setattr(taps, "TUN_PATH", "/dev/net/no-such")
    with pytest.raises(PortError, match=r"open /dev/net/no-such: No such file or directory; .*modprobe tun"):
        open_tap("client", "swc0", netns=None, mtu=1500)


def test_a_missing_right_is_named():
    program = (
        "from swlb.devices import open_tap\n"
        "try: open_tap('client', 'swlb-denied', netns=None, mtu=1500)\n"
        "except Exception as error: print(error)"
    )
    command = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", sys.executable, "-c", program]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert output.startswith(
        "port client (swlb-denied): TUNSETIFF: Operation not permitted; run as root or with CAP_NET"
    )


@pytest.mark.parametrize("wrong", [{"mtu": 70_000}, {"mac": bytes(6)}, {"netns": "swlb-no-such"}, {"device": "taken"}])
def test_a_failure_half_way_leaves_nothing(home, netns, wrong):
    subprocess.run(["ip", "-n", netns, "link", "add", "taken", "type", "veth", "peer", "other"], check=True)
    files = os.listdir("/proc/self/fd")
    arguments = {"device": "swc0", "netns": netns, "mtu": 1500} | wrong
    with pytest.raises(PortError):
        open_tap("client", **arguments)
    assert (set(links(netns)), links(home), os.listdir("/proc/self/fd")) == ({"taken", "other"}, {}, files)


def test_a_device_that_cannot_be_set_up_is_not_left_in_the_namespace(home, netns, monkeypatch):
    def interrupted(tap):
        raise KeyboardInterrupt

    monkeypatch.setattr("swlb.devices.set_up", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_tap("client", "swc0", netns=netns, mtu=1500)
    assert (links(netns), links(home)) == ({}, {})
