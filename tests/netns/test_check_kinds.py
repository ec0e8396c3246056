"""Kinds of checks, carried out by a running swlb on real servers: up, and down with the reason."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial

import pytest
from scapy.layers.dns import DNS

from netns.running import Host, wait_until
from netns.sites import CHECK, WEB_PORT, Routed, site
from netns.traffic import family_of, http_server, listening, udp_echo

pytestmark = pytest.mark.root

ECHO_PORT, DNS_PORT, AGENT_PORT = 7007, 5353, 9999
CONNECTS = 'exec 3<>"/dev/tcp/$SWLB_ADDRESS/$SWLB_PORT"'  # bash does it; it fails where it cannot

# Each kind: what is asked, the server's port, and the reason when nobody answers there any more.
KINDS = {
    "half_open": ({"type": "tcp", "half_open": True}, WEB_PORT, "L4CON"),
    "script": ({"type": "script", "steps": [{"send": "GET / HTTP/1.0\r\n\r\n"}, {"expect_not": "/ 5[0-9][0-9] /"},
                                            {"expect": "200 OK"}]}, WEB_PORT, "L4CON"),
    "exec": ({"type": "exec", "command": ["/bin/bash", "-c", CONNECTS], "response": "1s", "interval": "1s"}, WEB_PORT,
             "PROCERR"),
    "udp": ({"type": "udp"}, ECHO_PORT, "L4CON"),
    "udp_expect": ({"type": "udp", "send": "ping", "expect": "/^web[123] ping$/"}, ECHO_PORT, "L4CON"),
    "dns": ({"type": "dns", "query": "example.org", "record": "A", "rcode": "NXDOMAIN"}, DNS_PORT, "L4CON"),
}  # fmt: skip


def one_service_each(config: dict) -> None:
    """A service of each kind."""
    template = config["services"].pop("web")
    del config["services"]["echo"]
    for number, (kind, (asked, port, _)) in enumerate(KINDS.items()):
        servers = {name: {**server, "port": port} for name, server in template["servers"].items()}
        check = {**CHECK, "timeout": "10s", **asked}
        config["services"][kind] = {"vip": template["vip"], "port": 80 + number, "check": check, "servers": servers}


@contextmanager
def no_such_name(host: Host, address: str) -> Iterator[None]:
    """Within the block a DNS server answers every query with NXDOMAIN."""
    with closing(host.socket(family_of(address), socket.SOCK_DGRAM)) as sock:
        sock.bind((address, DNS_PORT))
        sock.settimeout(0.05)
        ending = threading.Event()

        def answer() -> None:
            while not ending.is_set():
                with suppress(TimeoutError):
                    wire, sender = sock.recvfrom(65536)
                    query = DNS(wire)
                    sock.sendto(bytes(DNS(id=query.id, qr=1, rd=1, qd=query.qd, rcode=3)), sender)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()


def serve(host: Host, stack: ExitStack) -> None:
    """Everything that is asked for is served at the host until the stack closes."""
    for address in (host.ipv4, host.ipv6):
        stack.enter_context(http_server(host, address, WEB_PORT))
        stack.enter_context(udp_echo(host, address, ECHO_PORT))
        stack.enter_context(no_such_name(host, address))


def test_every_kind_sees_a_server_go_and_come_back(make_netns, tmp_path):
    with site(Routed, make_netns, tmp_path, change=one_service_each) as at, ExitStack() as others, ExitStack() as web2:
        for host in at.servers:
            serve(host, web2 if host.name == "web2" else others)
        # Three checks ask more often than a host says by itself that a port is closed: once a second.
        at["web2"].run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
        at.swlb.wait_operational("up", within=20)
        web2.close()
        gone = [f"{kind}/{server}" for kind in KINDS for server in ("web2", "web2v6")]
        at.swlb.wait_operational("down", *gone, within=20)
        assert {name for name, state in at.swlb.operational().items() if state == "down"} == set(gone)
        reasons = {(row["service"], row["reason"]) for row in at.swlb.show("servers") if row["operational"] == "down"}
        assert reasons == {(kind, reason) for kind, (_, _, reason) in KINDS.items()}
        serve(at["web2"], web2)
        at.swlb.wait_operational("up", within=20)


def test_an_agent_takes_its_server_out_and_back(make_netns, tmp_path):
    lines = {"web1": b"up\n", "web2": b"up\n", "web3": b"up\n"}

    def with_agents(config: dict) -> None:
        config["services"]["web"]["check"] = {**CHECK, "type": "agent", "port": AGENT_PORT}

    with site(Routed, make_netns, tmp_path, change=with_agents) as at, ExitStack() as stack:
        for host in at.servers:
            for address in (host.ipv4, host.ipv6):
                tell = partial(lambda name, sock: sock.sendall(lines[name]), host.name)
                stack.enter_context(listening(host, address, AGENT_PORT, tell))
        at.swlb.wait_operational("up")
        lines["web2"] = b"stopped # for maintenance\n"
        at.swlb.wait_operational("down", "web/web2", "web/web2v6")
        row = at.swlb.row("servers", service="web", server="web2")
        assert row["reason"] == row["check_status"] == "L7STS"
        lines["web2"] = b"up\n"
        at.swlb.wait_operational("up")


def test_a_silent_udp_server_whose_host_goes_is_found_out(make_netns, tmp_path):
    """Its port is open and it never says a word: only ARP and neighbour discovery can tell."""
    with site(Routed, make_netns, tmp_path, change=one_service_each) as at, ExitStack() as stack:
        for host in at.servers:
            for family, address in ((socket.AF_INET, host.ipv4), (socket.AF_INET6, host.ipv6)):
                silent = stack.enter_context(closing(host.socket(family, socket.SOCK_DGRAM)))
                silent.bind((address, ECHO_PORT))
        names = [f"udp/{host.name}{family}" for host in at.servers for family in ("", "v6")]
        at.swlb.wait_operational("up", *names, within=20)
        at["web2"].ip("link set sw-web2 arp off address 02:00:00:00:00:99")
        at.swlb.wait_operational("down", "udp/web2", "udp/web2v6", within=20)
        assert at.swlb.row("servers", service="udp", server="web2")["reason"] == "L2TOUT"
        wait_until(lambda: at.swlb.operational()["udp/web1"] == "up", "the others up")
