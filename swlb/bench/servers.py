"""What answers at the far end: the same for every peer, each peer with servers of its own.

The web server stays for the whole run, for it costs nothing while it waits. iperf3 and sockperf are started for one
measurement and ended after it, so that a failed one cannot spoil the next.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .commands import run
from .topology import Process, Topology

HTTP_PORT = 80
BULK_PORT = 5201
PING_PORT = 11111
PACKETS_PORT = 9000
# 60 bytes of Ethernet frame: 14 and these.
HEADERS_LEN = 28
PAYLOAD_LEN = 18
TCP_PORTS = (HTTP_PORT, BULK_PORT, PING_PORT)

# Frames are counted and dropped as they enter the server's IP layer: a receiving program would take a core, and the
# kernel's own UDP counters do not know of frames that found no room in a socket.
COUNTER = f"""
table ip bench {{
    counter arrived {{ }}
    chain flood {{
        type filter hook prerouting priority raw;
        udp dport {PACKETS_PORT} counter name arrived drop
    }}
}}
"""


def nginx_command(configuration: Path) -> list[str]:
    """nginx in the foreground, its complaints on its output."""
    return ["nginx", "-e", "stderr", "-p", str(configuration.parent), "-c", str(configuration)]


def nginx_preamble(name: str) -> str:
    """The part every nginx of the run has: one worker, in the foreground, files of its own."""
    return (f"user root; daemon off; worker_processes 1; pid {name}.pid;\n"
            "error_log stderr crit;\nevents { worker_connections 4096; }\n")


def start_web_server(topology: Topology, *, netns: str, name: str) -> Process:
    """nginx answers "ok" on port 80 of the namespace, as often as asked on one connection."""
    paths = " ".join(f"{kind}_temp_path {name}-temp;" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    configuration = topology.file(f"{name}.conf", nginx_preamble(name) + (
        f"http {{ access_log off; keepalive_requests 1000000000; {paths}\n"
        f"  server {{ listen {HTTP_PORT} backlog=4096; location / {{ return 200 'ok'; }} }} }}\n"))
    process = topology.spawn(nginx_command(configuration), netns=netns, name=name)
    process.wait_until_listening(HTTP_PORT)
    return process


def start_counter(*, netns: str) -> None:
    """UDP packets to PACKETS_PORT are counted in the namespace, and go no further."""
    run(["nft", "-f", "-"], netns=netns, stdin=COUNTER)


def counted_packets(*, netns: str) -> int:
    """How many datagrams the counter of the namespace has seen."""
    words = run(["nft", "list", "counter", "ip", "bench", "arrived"], netns=netns).split()
    return datagrams(int(words[words.index("packets") + 1]), int(words[words.index("bytes") + 1]))


def datagrams(packets: int, n_bytes: int) -> int:
    """How many datagrams of PAYLOAD_LEN lie in so many packets of so many bytes in all.

    A super-frame, which the kernel has not cut yet, counts as one packet; but every packet has one header, and the rest
    of its bytes are payload.
    """
    return (n_bytes - packets * HEADERS_LEN) // PAYLOAD_LEN


@contextmanager
def serving(topology: Topology, argv: Sequence[str], *, netns: str, port: int) -> Iterator[Process]:
    """The server listens at `port` inside the block and is gone after it."""
    process = topology.spawn(argv, netns=netns, name=f"{argv[0]}-{netns}")
    try:
        process.wait_until_listening(port)
        yield process
    finally:
        process.stop()
