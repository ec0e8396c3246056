"""A router on a stick: one port of swlb, client and server behind it in VLANs of their own, which the kernel tags."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from netns.grounds import INSIDE, OUTSIDE, at, both, lay_wire
from netns.running import Host, Swlb, ip, running, wait_until
from netns.traffic import echoed, get, http_server, listening, udp_echo
from netns.vlans import access_switch

pytestmark = pytest.mark.root

VIDS = {"client": 10, "web1": 20}
BULK = 8 << 20


def config_of(ports: dict, *, client: str = "trunk.10", workers: int = 1) -> str:
    servers = {f"web1v{family}": {"address": address, "port": 8080} for family, address in at(INSIDE, 11).items()}
    vips = list(at(OUTSIDE, 100).values())
    return json.dumps({
        "mode": "routed", "workers": workers, "limits": {"sessions": 1000}, "ports": ports,
        "segments": {"outside": {"ports": [client], "addresses": both(OUTSIDE, 1)},
                     "inside": {"ports": ["trunk.20"], "addresses": both(INSIDE, 1)}},
        "services": {"web": {"vip": vips, "port": 80, "servers": servers, "source_nat": "never"},
                     "bulk": {"vip": vips, "port": 81, "servers": {
                         name: {**server, "port": 8081} for name, server in servers.items()}}},
    })  # fmt: skip


@contextmanager
def on_a_stick(
    make_netns: Callable[[], str], directory: Path, *, kind: str = "tap", workers: int = 1
) -> Iterator[tuple[Swlb, dict[str, Host]]]:
    """Within the block swlb routes between two VLANs of its one port, which is of that kind."""
    lan, own = make_netns(), make_netns()
    hosts = {"client": Host("client", make_netns(), "eth0", both(OUTSIDE, 10), tuple(at(OUTSIDE, 1).values())),
             "web1": Host("web1", make_netns(), "eth0", both(INSIDE, 11), tuple(at(INSIDE, 1).values()))}  # fmt: skip
    for name, host in hosts.items():
        lay_wire(host, lan, name)
    port: dict = {"tap": "swt", "netns": lan}
    if kind == "packet":
        ip(lan, f"link add swt type veth peer name eth1 netns {own}")
        ip(lan, "link set swt up")
        port = {"packet": "eth1"}
    with ExitStack() as stack:
        swlb = stack.enter_context(running(config_of({"trunk": port}, workers=workers), netns=own,
                                           directory=directory))  # fmt: skip
        stack.enter_context(access_switch(lan, VIDS, "swt"))
        for host in hosts.values():
            host.configure()
        for address in at(INSIDE, 11).values():
            stack.enter_context(http_server(hosts["web1"], address))
        yield swlb, hosts


def tell_much(connection: socket.socket) -> None:
    connection.sendall(bytes(BULK))
    connection.shutdown(socket.SHUT_WR)


def read_all(client: Host, address: str, family: int) -> int:
    with client.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(10)
        sock.connect((address, 81))
        n = 0
        while data := sock.recv(1 << 20):
            n += len(data)
    return n


@pytest.mark.parametrize(("kind", "workers"), [("tap", 1), ("tap", 2), ("packet", 1)])
def test_a_client_in_one_vlan_reaches_servers_in_another_by_the_same_port(make_netns, tmp_path, kind, workers) -> None:
    with on_a_stick(make_netns, tmp_path, kind=kind, workers=workers) as (swlb, hosts):
        client, web1 = hosts["client"], hosts["web1"]
        for family, vip in at(OUTSIDE, 100).items():
            answers = [get(client, vip) for _ in range(5)]
            assert {(answer.server, answer.peer[0]) for answer in answers} == {("web1", client.address(family))}
            with udp_echo(web1, web1.address(family), 7):
                assert echoed(client, web1.address(family), 7)
            with listening(web1, web1.address(family), 8081, tell_much):
                assert read_all(client, vip, family) == BULK
        rows = {row["port"]: row for row in swlb.show("ports")}
        assert (rows["trunk"]["kind"], rows["trunk.10"]["kind"]) == (kind, "vlan")
        # Super-frames are on the stick whole.
        assert rows["trunk.10"]["tx_bytes"] > 2 * BULK
        assert rows["trunk.10"]["tx_bytes"] / rows["trunk.10"]["tx_frames"] > 3000
        assert (web1.mac, 20, "trunk.20") in {(row["mac"], row["vlan"], row["port"]) for row in swlb.show("fdb")}
        # The switch's own end of the stick has said untagged who it is, as devices do.
        wait_until(lambda: accounted(swlb), "every frame that came by the trunk is a VLAN's, or was of none")


def accounted(swlb: Swlb) -> bool:
    rows = {row["port"]: row["rx_frames"] for row in swlb.show("ports")}
    return rows["trunk"] == rows["trunk.10"] + rows["trunk.20"] + swlb.drops()["not_member"]


def test_a_reload_gives_a_segment_another_vlan_of_the_port(make_netns, tmp_path) -> None:
    with on_a_stick(make_netns, tmp_path) as (swlb, hosts):
        client, vip = hosts["client"], at(OUTSIDE, 100)[4]
        ports = json.loads(swlb.file.read_text())["ports"]
        assert get(client, vip).server == "web1"
        swlb.reload(config_of(ports, client="trunk.11"))
        before = swlb.drops()["not_member"]
        with pytest.raises(TimeoutError):
            get(client, vip)
        assert swlb.drops()["not_member"] > before
        swlb.reload(config_of(ports))
        assert get(client, vip).server == "web1"
