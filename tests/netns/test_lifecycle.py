"""Start and end of `swlb run`: what it finds, and that it leaves the machine as it was."""

import re
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from netns.running import STOP_S, Swlb, inside, ip, running, wait_until
from netns.sites import Routed, config_of, site
from netns.traffic import ping
from swlb.namespaces import namespaces

pytestmark = pytest.mark.root

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])


@pytest.fixture
def home(make_netns):
    """The namespace that swlb runs in."""
    return make_netns()


@pytest.fixture
def hosts(make_netns):
    return Routed.hosts(make_netns)


def sysctls(netns: str) -> str:
    """Every network sysctl of the namespace. Lines that are counters or random are left out."""
    listed = subprocess.run([*inside(netns), "sysctl", "-a", "--pattern", "^net"], check=True, capture_output=True)
    lines = listed.stdout.decode().splitlines()
    return "\n".join(line for line in lines if not re.search(r"stable_secret|route\.min_adv|nf_conntrack_count", line))


def state_of(netns: str) -> dict[str, str]:
    """Devices, addresses, routes, rules and sysctls of a namespace."""
    words = {"links": "-o link show", "addresses": "-o address show", "routes4": "-4 route show table all",
             "routes6": "-6 route show table all", "rules": "rule show"}  # fmt: skip
    return {name: ip(netns, command) for name, command in words.items()} | {"sysctls": sysctls(netns)}


def devices(netns: str) -> list[str]:
    """The names of the namespace's devices."""
    return re.findall(r"^\d+: ([^:@]+)", ip(netns, "-o link show"), re.MULTILINE)


@SIGNALS
def test_after_the_end_everything_is_as_before(home, hosts, tmp_path, number):
    everywhere = [home, *(host.netns for host in hosts.values())]
    before = [state_of(netns) for netns in everywhere]
    swlb = Swlb(config_of(Routed, hosts), netns=home, directory=tmp_path)
    swlb.wait_ready()
    for host in hosts.values():
        host.configure()
    assert ping(hosts["client"], Routed.routers[4])
    assert swlb.stop(number) == 0
    assert [state_of(netns) for netns in everywhere] == before
    assert namespaces() >= set(everywhere)
    assert not swlb.control.exists()


@SIGNALS
def test_ready_is_a_line_of_its_own_and_all_there_is_on_stdout(home, hosts, tmp_path, number):
    swlb = Swlb(config_of(Routed, hosts), netns=home, directory=tmp_path)
    swlb.wait_ready()
    assert swlb.stop(number) == 0
    assert swlb.output == "ready\n"


@SIGNALS
def test_a_signal_before_ready_ends_it_as_well(home, hosts, tmp_path, number):
    swlb = Swlb(config_of(Routed, hosts), netns=home, directory=tmp_path)
    try:
        wait_until(lambda: "swlb-outside" in devices(home), "its first own device", within=15)
    finally:
        code = swlb.stop(number)
    assert (code, devices(home), "Traceback" in swlb.log) == (0, ["lo"], False)


def test_once_ready_frames_are_forwarded(home, hosts, tmp_path):
    with running(config_of(Routed, hosts), netns=home, directory=tmp_path):
        client = hosts["client"]
        client.configure()
        assert ping(client, Routed.routers[4]) == Routed.routers[4]


def test_ten_starts_and_ends_say_nothing_wrong(home, hosts, tmp_path):
    config = config_of(Routed, hosts)
    for n in range(10):
        swlb = Swlb(config, netns=home, directory=tmp_path)
        swlb.wait_ready()
        swlb.show("servers")
        assert swlb.stop((signal.SIGTERM, signal.SIGINT)[n % 2]) == 0
        # The log has lines of its own form and nothing else: no traceback, no warning of Python's.
        strange = [line for line in swlb.log.splitlines() if not re.match(r"\d{4}-\d\d-\d\d .* (INFO|WARNING) ", line)]
        assert strange == []


def test_many_signals_end_it_once(home, hosts, tmp_path):
    swlb = Swlb(config_of(Routed, hosts), netns=home, directory=tmp_path)
    swlb.wait_ready()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        swlb.process.send_signal(number)
    assert swlb.process.wait(STOP_S) == 0
    assert "Traceback" not in swlb.log


def test_sigkill_leaves_no_device_and_the_next_start_works_over_the_stale_socket(home, hosts, tmp_path):
    config = config_of(Routed, hosts)
    first = Swlb(config, netns=home, directory=tmp_path)
    first.wait_ready()
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    wait_until(
        lambda: all(devices(netns) == ["lo"] for netns in (home, *(host.netns for host in hosts.values()))), "no device"
    )
    assert first.control.is_socket()
    with running(config, netns=home, directory=tmp_path) as second:
        assert second.show("ports")


def test_sighup_does_not_end_it(home, hosts, tmp_path):
    with running(config_of(Routed, hosts), netns=home, directory=tmp_path) as swlb:
        swlb.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "SIGHUP" in swlb.log, "SIGHUP in the log")
        assert swlb.show("ports")


def test_the_control_socket_is_for_its_owner_only(home, hosts, tmp_path):
    with running(config_of(Routed, hosts), netns=home, directory=tmp_path) as swlb:
        mode = swlb.control.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def other(directory: Path) -> Path:
    (directory / "other").mkdir()
    return directory / "other"


def test_a_second_swlb_at_the_same_socket_is_refused_and_the_first_goes_on(home, hosts, make_netns, tmp_path):
    with running(config_of(Routed, hosts), netns=home, directory=tmp_path) as first:
        elsewhere, strangers = make_netns(), Routed.hosts(make_netns)
        second = Swlb(config_of(Routed, strangers), netns=elsewhere, directory=tmp_path)
        assert second.wait_end() == 1
        assert re.search("another swlb answers there", second.log)
        assert "Traceback" not in second.log
        assert devices(elsewhere) == ["lo"]
        assert all(devices(host.netns) == ["lo"] for host in strangers.values())
        assert first.show("ports")


def test_a_second_swlb_with_the_same_addresses_is_refused_and_leaves_nothing(home, hosts, tmp_path):
    with running(config_of(Routed, hosts), netns=home, directory=tmp_path) as first:
        everywhere = [home, *(host.netns for host in hosts.values())]
        before = [devices(netns) for netns in everywhere]
        second = Swlb(config_of(Routed, hosts), netns=home, directory=other(tmp_path))
        assert second.wait_end() == 1
        assert "10.0.1.1 of segment outside is this host's own already, on swlb-outside" in second.log
        assert "Traceback" not in second.log
        assert [devices(netns) for netns in everywhere] == before
        assert not second.control.exists()
        assert {row["state"] for row in first.show("ports")} == {"up"}


def test_a_device_that_cannot_be_made_leaves_none_of_the_others(home, hosts, tmp_path):
    # The last of the ports to be made; those before it are there by then.
    hosts["web3"].ip("tuntap add sw-web3 mode tap")
    swlb = Swlb(config_of(Routed, hosts), netns=home, directory=tmp_path)
    assert swlb.wait_end() == 1
    assert "port web3 (sw-web3)" in swlb.log
    assert devices(home) == ["lo"]
    assert all(devices(hosts[name].netns) == ["lo"] for name in ("client", "web1", "web2"))


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["directory", "file"])
def test_what_is_at_the_control_path_and_no_socket_stays_and_nothing_else_is_left(home, hosts, tmp_path, make):
    make(tmp_path / "swlb.sock")
    swlb = Swlb(config_of(Routed, hosts), netns=home, directory=tmp_path)
    assert swlb.wait_end() == 1
    assert "the control socket cannot be made" in swlb.log
    assert "Traceback" not in swlb.log
    assert devices(home) == ["lo"]
    assert (tmp_path / "swlb.sock").exists()


def test_two_swlbs_with_sockets_of_their_own_do_not_mind_each_other(home, hosts, make_netns, tmp_path):
    with running(config_of(Routed, hosts), netns=home, directory=tmp_path) as first:
        strangers = Routed.hosts(make_netns)
        with running(config_of(Routed, strangers), netns=make_netns(), directory=other(tmp_path)) as second:
            assert first.show("ports")
            assert second.show("ports")


def test_an_idle_swlb_uses_little_of_a_processor(make_netns, tmp_path):
    with site(Routed, make_netns, tmp_path) as at:
        at.swlb.wait_operational("down", *(name for name in at.swlb.operational() if name.startswith("web/")))
        before, began = at.swlb.cpu_s(), time.monotonic()
        time.sleep(2)
        assert (at.swlb.cpu_s() - before) / (time.monotonic() - began) < 0.05
