"""Takes the captures that libFuzzer begins with anew: python -m tests.fuzz.capture (root)

A client and two servers around a swlb, in namespaces of their own and with the addresses of tests/fuzz/shapes.py;
tcpdump writes to captures/ what each side sends, as it comes to swlb, with checksums that are not left to a device.
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.fuzz.seeds import CAPTURES
from tests.fuzz.shapes import VIP
from tests.netns.running import Host, inside, made_namespaces, running

SERVERS = {"web1": 11, "web2": 12}
BODY = 6000                # bytes that a server answers, and an echo in fragments has 4000
HTTP = f"""
import http.server, socket
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x" * {BODY})
Server(("::", 8080), Answer).serve_forever()
"""
ECHO = """
import socket
ends = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
ends.bind(("::", 53))
while True:
    data, peer = ends.recvfrom(65535)
    ends.sendto(data * 4, peer)
"""


def main() -> int:
    with tempfile.TemporaryDirectory() as directory, made_namespaces() as make, ExitStack() as stack:
        hosts = {"client": Host("client", make(), "eth0", ("10.0.1.10/24", "fd00:1::10/64"), ("10.0.1.1", "fd00:1::1"))}
        hosts |= {name: Host(name, make(), "eth0", (f"10.0.2.{n}/24", f"fd00:2::{n}/64"), ("10.0.2.1", "fd00:2::1"))
                  for name, n in SERVERS.items()}
        swlb = running(json.dumps(configuration(hosts)), netns=make(), directory=Path(directory), hosts=hosts.values())
        stack.enter_context(swlb)
        for name in SERVERS:
            for program in (HTTP, ECHO):
                stack.enter_context(beside(hosts[name], sys.executable, "-c", program))
        for host in hosts.values():
            host.run("ethtool", "-K", host.device, "tx", "off", "tso", "off")
            stack.enter_context(captured(host, f"{host.name}-{'client' if host.name == 'client' else 'server'}"))
        time.sleep(1)
        speak(hosts["client"], hosts["web1"])
        time.sleep(1)
    return 0


def configuration(hosts: dict[str, Host]) -> dict[str, object]:
    """A web and a datagram service of both families, routed."""
    servers = {f"{name}-{version}": {"address": hosts[name].address(version)} for name in SERVERS for version in (4, 6)}
    return {
        "mode": "routed",
        "ports": {name: {"tap": host.device, "netns": host.netns} for name, host in hosts.items()},
        "segments": {"outside": {"ports": ["client"], "addresses": ["10.0.1.1/24", "fd00:1::1/64"]},
                     "inside": {"ports": list(SERVERS), "addresses": ["10.0.2.1/24", "fd00:2::1/64"]}},
        "services": {
            "web": {"vip": list(VIP), "port": 80, "protocol": "tcp",
                    "servers": {name: server | {"port": 8080} for name, server in servers.items()}},
            "names": {"vip": list(VIP), "port": 53, "protocol": "udp", "servers": servers},
        },
    }


def speak(client: Host, server: Host) -> None:
    """What people do with a service: ask it, ping it, look for the way to it, and ask for what is not there."""
    for version, vip in zip((4, 6), VIP, strict=True):
        host = f"[{vip}]" if version == 6 else vip
        for url in (f"http://{host}/", f"http://{host}/", f"http://{host}:81/"):
            client.run("curl", "-s", "-o", "/dev/null", "-m", "2", url)
        for to in (vip, server.address(version)):
            client.run("ping", "-c", "2", "-i", "0.2", to)
            client.run("ping", "-c", "1", "-s", "4000", to)
        client.run("ping", "-c", "1", "-t", "1", server.address(version))
        with client.socket(version, socket.SOCK_DGRAM) as asker:
            asker.settimeout(1)
            for size in (20, 1000):
                asker.sendto(b"q" * size, (vip, 53))
                asker.recv(65535)
        for how in ((), ("-I",), ("-T", "-p", "80")):
            client.run("traceroute", "-n", "-q", "1", "-w", "1", "-m", "3", *how, vip)


@contextmanager
def beside(host: Host, *argv: str) -> Iterator[None]:
    """The program runs on the host within the block."""
    process = subprocess.Popen([*inside(host.netns), *argv], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def captured(host: Host, name: str) -> Iterator[None]:
    """What the host sends within the block is in captures/."""
    file = CAPTURES / f"{name}.pcap"
    with beside(host, "tcpdump", "-i", host.device, "-Q", "out", "-U", "-s", "0", "-Z", "root", "-w", str(file)):
        yield


if __name__ == "__main__":
    sys.exit(main())
