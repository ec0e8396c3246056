"""The interface of a packet port: how it is held and given back, what is refused, what others do to it meanwhile."""

import json
import os
import signal
import socket
import time
from contextlib import closing, suppress

import pytest

from netns.running import Host, cli, ip, wait_until
from netns.sites import Routed, serving
from netns.traffic import connect, get, ping, shares
from netns.wires import lay_wire, near_end, wired
from swlb.devices import namespace, open_packet
from swlb.errors import PortError

pytestmark = pytest.mark.root

SOON_S = 1.0 + 0.3  # within a second, and what asking takes
NEAR = near_end("web3")


@pytest.fixture
def own(make_netns, tmp_path):
    """A routed site of the test's own, everybody on a wire and serving."""
    with wired(Routed, make_netns, tmp_path) as at, serving(at):
        yield at


@pytest.fixture
def wire(make_netns):
    """A host on a wire, and the namespace of the wire's near end."""
    host, home = Host("a", make_netns(), "far", ("10.9.0.2/24",)), make_netns()
    lay_wire(host, home)
    host.configure()
    return host, home


def link(netns: str, device: str) -> dict:
    (found,) = json.loads(ip(netns, f"-json -details link show {device}"))
    return found


def held(home: str, **options: object):
    with namespace(home):
        return closing(open_packet("a", near_end("a"), **{"netns": None, "mtu": 1500, **options}))


# ---- holding it ----


def test_the_interface_is_up_promiscuous_and_has_the_mtu(wire):
    _, home = wire
    with held(home, mtu=1400):
        found = link(home, near_end("a"))
        assert "UP" in found["flags"]
        assert (found["mtu"], found["promiscuity"]) == (1400, 1)


def test_it_is_given_back_as_it_was(wire):
    _, home = wire
    ip(home, f"link set {near_end('a')} mtu 2000")
    with held(home):
        pass
    found = link(home, near_end("a"))
    assert "UP" not in found["flags"]
    assert (found["mtu"], found["promiscuity"]) == (2000, 0)


def test_what_others_have_changed_meanwhile_is_left(wire):
    _, home = wire
    ip(home, f"link set {near_end('a')} mtu 2000 up")
    with held(home):
        ip(home, f"link set {near_end('a')} mtu 1700")
    found = link(home, near_end("a"))
    assert "UP" in found["flags"]
    assert found["mtu"] == 1700


def test_its_kernel_hears_nothing_while_it_is_held(wire):
    host, home = wire
    with held(home):
        ip(home, f"address add 10.9.0.1/24 dev {near_end('a')}")
        assert ping(host, "10.9.0.1", patience_s=0.3) is None
    ip(home, f"link set {near_end('a')} up")
    assert ping(host, "10.9.0.1") == "10.9.0.1"


def test_a_swlb_that_is_killed_leaves_its_kernel_able_to_hear(own):
    home, client = own.swlb.netns, own.client
    own.swlb.process.kill()
    own.swlb.process.wait()
    ip(home, f"address add 10.0.1.1/24 dev {near_end('client')}")
    assert ping(client, "10.0.1.1") == "10.0.1.1"


def test_an_interface_of_another_namespace_is_held_there(wire, make_netns):
    _, home = wire
    other = make_netns()
    with namespace(other), closing(open_packet("a", near_end("a"), netns=home, mtu=1500)):
        assert link(home, near_end("a"))["promiscuity"] == 1


# ---- refused ----


def refusal(home: str, device: str, netns: str | None = None, mtu: int = 1500) -> str:
    with namespace(home), pytest.raises(PortError) as refused:
        open_packet("a", device, netns=netns, mtu=mtu)
    return str(refused.value)


def test_an_interface_with_an_address_is_refused(wire):
    _, home = wire
    ip(home, f"address add 10.9.0.1/24 dev {near_end('a')}")
    assert refusal(home, near_end("a")) == (
        "port a (near-a): hold: it has the address 10.9.0.1/24; the kernel would not hear anything there any more:"
        " take the address away ('ip address del 10.9.0.1/24 dev near-a'), or give it to the segment instead"
    )
    assert "UP" not in link(home, near_end("a"))["flags"]


def test_an_ipv6_address_is_one_too_but_not_the_link_s_own(wire):
    _, home = wire
    ip(home, f"link set {near_end('a')} up")
    with held(home):
        pass
    ip(home, f"address add fd00:9::1/64 dev {near_end('a')} nodad")
    assert "it has the address fd00:9::1/64" in refusal(home, near_end("a"))


def test_an_interface_that_is_not_there_is_refused(wire):
    _, home = wire
    assert "there is no interface of that name" in refusal(home, "eth7")


def test_a_namespace_that_is_not_there_is_refused(wire):
    _, home = wire
    assert "create it with 'ip netns add nowhere'" in refusal(home, "eth7", netns="nowhere")


def test_an_interface_without_ethernet_is_refused(make_netns):
    home = make_netns()
    ip(home, "tuntap add mode tun name tun7")
    assert "its frames are not Ethernet's" in refusal(home, "tun7")


def test_an_mtu_the_interface_does_not_take_is_refused_and_nothing_kept(wire):
    host, home = wire
    ip(home, f"link set {near_end('a')} mtu 2000 up")
    assert "SIOCSIFMTU 67" in refusal(home, near_end("a"), mtu=67)
    found = link(home, near_end("a"))
    assert (found["mtu"], found["promiscuity"]) == (2000, 0)
    ip(home, f"address add 10.9.0.1/24 dev {near_end('a')}")
    assert ping(host, "10.9.0.1") == "10.9.0.1"


def test_swlb_run_says_so_and_ends(wire, tmp_path):
    _, home = wire
    ip(home, f"address add 10.9.0.1/24 dev {near_end('a')}")
    file = tmp_path / "swlb.yaml"
    file.write_text(f"ports: {{a: {{packet: {near_end('a')}}}}}\nsegments: {{lan: {{ports: [a]}}}}\n")
    done = cli("run", str(file), "--control", str(tmp_path / "sock"), netns=home)
    assert done.returncode == 1
    assert "it has the address 10.9.0.1/24" in done.stderr


# ---- what others do to it ----


def port(at, name: str = "web3") -> dict:
    return at.swlb.row("ports", port=name)


def wait_shown(at, **fields: object) -> None:
    wait_until(lambda: fields.items() <= port(at).items(), f"port web3 with {fields}", within=SOON_S)


def wait_told(at, kind: str) -> None:
    wait_until(lambda: [event["port"] for event in at.swlb.events(kind)] == ["web3"], f"one {kind}", within=SOON_S)


def wait_others_serve(at) -> None:
    at.swlb.wait_operational("down", "web/web3", "web/web3v6")
    assert shares(at.client, Routed.vips[4], 10) == {"web1": 5, "web2": 5}


@pytest.mark.parametrize("end", ["near", "far"])
def test_a_link_that_goes_down_is_told_and_comes_back(own, end):
    netns, device = (own.swlb.netns, NEAR) if end == "near" else (own["web3"].netns, own["web3"].device)
    ip(netns, f"link set {device} down")
    wait_shown(own, state="down")
    wait_told(own, "port_down")
    wait_others_serve(own)
    ip(netns, f"link set {device} up")
    own["web3"].configure()
    wait_shown(own, state="up")
    wait_told(own, "port_up")
    own.swlb.wait_operational("up", "web/web3")
    assert shares(own.client, Routed.vips[4], 9) == {"web1": 3, "web2": 3, "web3": 3}


def test_an_interface_that_is_deleted_is_lost_and_the_rest_goes_on(own):
    ip(own.swlb.netns, f"link del {NEAR}")
    wait_shown(own, state="lost")
    wait_told(own, "port_down")
    wait_others_serve(own)
    before, began = own.swlb.cpu_s(), time.monotonic()
    time.sleep(1)
    assert (own.swlb.cpu_s() - before) / (time.monotonic() - began) < 0.2


def test_an_interface_that_is_moved_to_another_namespace_is_lost(own, make_netns):
    ip(own.swlb.netns, f"link set {NEAR} netns {make_netns()}")
    wait_shown(own, state="lost")
    wait_others_serve(own)


def test_a_new_name_is_shown_and_nothing_else_changes(own):
    ip(own.swlb.netns, f"link set {NEAR} name other")
    wait_shown(own, device="other", state="up")
    assert shares(own.client, Routed.vips[4], 9) == {"web1": 3, "web2": 3, "web3": 3}


def test_a_change_of_mtu_is_followed(own):
    ip(own.swlb.netns, f"link set {NEAR} mtu 1280")
    wait_shown(own, mtu=1280)


# ---- what cannot be read ----


def test_frames_that_wait_too_long_are_counted_as_dropped(own):
    with own.client.socket(4, socket.SOCK_DGRAM) as sock:
        get(own.client, Routed.vips[4])
        os.kill(own.swlb.process.pid, signal.SIGSTOP)
        try:
            for _ in range(40_000):
                sock.sendto(bytes(1400), (Routed.vips[4], 9))
        finally:
            os.kill(own.swlb.process.pid, signal.SIGCONT)
    wait_until(lambda: port(own, "client")["rx_dropped"] > 1000, "what found no room in the socket", within=SOON_S)
    assert get(own.client, Routed.vips[4]).server in {"web1", "web2", "web3"}


def test_a_super_frame_of_more_than_64_kib_is_counted_as_unread(own):
    own.client.ip(f"link set {own.client.device} gso_max_size 196000")  # "BIG TCP"
    with connect(own.client, Routed.vips[6], 80) as sock:
        sock.settimeout(0.1)

        def unread() -> int:
            with suppress(TimeoutError):
                sock.sendall(bytes(1 << 20))
            return own.swlb.drops()["unread"]

        wait_until(unread, "a frame that is too long", within=10)
    # Figures may still grow between two looks.
    counted = own.swlb.drops()["unread"]
    assert port(own, "client")["rx_dropped"] >= counted > 0

