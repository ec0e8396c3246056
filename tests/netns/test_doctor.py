"""The commands of `swlb doctor`, run on a server that hangs by a veth beside a client."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest

from netns.running import Host, inside, ip
from netns.traffic import connect, http_server
from swlb.config import parse
from swlb.doctor import Patient, Step, diagnose, prescription
from tests.config_text import DIRECT

pytestmark = pytest.mark.root

VIPS = {4: "10.0.0.100", 6: "fd00::100"}
PORT = 80
BOTH = DIRECT.replace('"fd00::12"', '"fd00::11"')  # one server, with an address of each family
TUNNELS = BOTH.replace("forward: dsr", "forward: ipip")
FAMILIES = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture
def hosts(make_netns) -> Iterator[tuple[Host, Host]]:
    """A client and a server in one subnet, with nothing between them; each is the other's gateway."""
    client, server = make_netns(), make_netns()
    ip(client, f"link add eth0 type veth peer name eth0 netns {server}")
    pair = (
        Host("client", client, "eth0", ("10.0.0.10/24", "fd00::10/64"), ("10.0.0.11", "fd00::11")),
        Host("server", server, "eth0", ("10.0.0.11/24", "fd00::11/64"), ("10.0.0.10", "fd00::10")),
    )
    for host in pair:
        host.ip("link set eth0 up")
        host.configure()
    return pair


def patients(text: str) -> list[Patient]:
    """The two addresses of the server."""
    found = diagnose(parse(text, file="lab.yaml"))
    return [patient for patient in found if patient.address in ("10.0.0.11", "fd00::11")]


def run(host: Host, script: str) -> None:
    """The script has run inside, every command of it well."""
    argv = [*inside(host.netns), "bash", "-eu"]
    done = subprocess.run(argv, input=script, text=True, check=False, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr


def steps(text: str, word: str) -> list[Step]:
    """Those with that word in a command."""
    return [step for patient in patients(text) for step in patient.steps if any(word in c for c in step.commands)]


def script(steps: list[Step]) -> str:
    return "\n".join(command for step in steps for command in step.commands)


def is_found(client: Host, family: int) -> bool:
    """Whether somebody on the client's network says that the VIP is there."""
    client.run("ping", "-c1", "-W1", VIPS[family])
    return "lladdr" in client.ip(f"neigh show {VIPS[family]}")


def test_the_page_of_a_dsr_server_runs_as_it_is_and_a_second_time(hosts) -> None:
    _, server = hosts
    page = prescription(patients(BOTH))
    run(server, page)
    run(server, page)
    addresses = server.ip("address show dev lo")
    assert "inet 10.0.0.100/32" in addresses
    assert "inet6 fd00::100/128" in addresses


@FAMILIES
def test_a_server_that_followed_it_is_silent_about_the_vip_and_serves_it(hosts, family) -> None:
    client, server = hosts
    run(server, prescription(patients(BOTH)))
    assert not is_found(client, family)
    # As swlb does it: to the server's MAC, without asking whose the VIP is.
    client.ip(f"neigh replace {VIPS[family]} lladdr {server.mac} dev eth0 nud permanent")
    with http_server(server, VIPS[family], PORT), closing(connect(client, VIPS[family], PORT)) as sock:
        assert sock.getpeername()[0] == VIPS[family]


def test_without_the_settings_of_arp_the_server_would_answer_for_the_vip(hosts) -> None:
    client, server = hosts
    run(server, script(steps(BOTH, "dev lo")))
    assert is_found(client, 4)


def test_the_gateway_is_set_in_the_place_of_another(hosts) -> None:
    _, server = hosts
    text = BOTH.replace("mode: dsr", "mode: routed\ntopology: one-arm").replace("forward: dsr", "source_nat: never")
    text = text.replace(", web1: {tap: sw1}, web2: {tap: sw2}", "").replace("[client, web1, web2]", "[client]")
    server.ip("route replace default via 10.0.0.77")
    run(server, prescription(patients(text)))
    assert "default via 10.0.0.1 dev eth0" in server.ip("-4 route show default")
    assert "default via fd00::1 dev eth0" in server.ip("-6 route show default")


@pytest.mark.parametrize(("family", "mss"), [(4, 1440), (6, 1420)])
def test_a_server_behind_a_tunnel_announces_segments_that_fit(hosts, family, mss) -> None:
    client, server = hosts
    # The client is beyond the server's gateway, as advmss is a property of that route.
    far = {4: "192.0.2.1", 6: "2001:db8::1"}[family]
    client.ip(f"address add {far}/{32 if family == 4 else 128} dev lo")
    run(server, script(steps(TUNNELS.replace(', web2: {address: "fd00::11"}', ""), "advmss")))
    address = server.address(family)
    with http_server(server, address, PORT), closing(client.socket(family, socket.SOCK_STREAM)) as sock:
        sock.bind((far, 0))
        sock.connect((address, PORT))
        timestamps = 12
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) + timestamps == mss


@pytest.mark.parametrize("forward", ["ipip", "gue"])
def test_the_commands_of_tunnels_are_words_that_ip_knows(hosts, forward) -> None:
    _, server = hosts
    told = steps(BOTH.replace("forward: dsr", f"forward: {forward}"), "ip link add")
    added = [command for step in told for command in step.commands if " add " in command]
    assert len(added) == (4 if forward == "ipip" else 6)
    for command in added:
        done = server.run(*command.split())
        # 255 is for words that are wrong; a kernel without such devices is another thing.
        assert done.returncode != 255, done.stderr
        assert "Usage" not in done.stderr
