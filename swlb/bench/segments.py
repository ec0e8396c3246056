"""Peers that carry frames between two TAPs and know of no address: the limit programs, and Open vSwitch in userspace.

Their TAPs are made in the balancer's namespace and then moved to the client and to the server, which are in one subnet.
"""

from importlib import resources
from pathlib import Path

from .commands import BenchError, Unavailable, run
from .peer import CLIENT_OF_SEGMENT, READY_TIMEOUT_S, SERVER, SERVER_ADDRESS, Peer, Setup, hosts
from .topology import End, Process, Topology

TAPS = ("tapc", "taps")
NO_IO_URING = 3  # limit.c's exit code
OVS_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
OVS_TOOLS = ("ovsdb-tool", "ovsdb-server", "ovs-vsctl", "ovs-vswitchd", OVS_SCHEMA)


def start_limit(peer: Peer, topology: Topology, *, how: str) -> Setup:
    """The limit program, `how` it moves frames ("plain" or "batched")."""
    program = _compiled(topology)
    balancer = topology.namespace(f"{peer.name}-balancer")
    process = topology.spawn([str(program), how, *TAPS], netns=balancer, name=peer.name)
    try:
        process.wait_until(lambda: process.says("ready"), "ready", timeout_s=READY_TIMEOUT_S)
    except BenchError as error:
        if process.ended_with() == NO_IO_URING:
            raise Unavailable("this kernel has no io_uring, or not for us") from error
        raise
    return _between(peer, topology, process, netns=balancer)


def _compiled(topology: Topology) -> Path:
    """The limit program, compiled when it is first asked for; both ways of it are one program."""
    program = topology.directory / "limit"
    if not program.exists():
        with resources.as_file(resources.files(__package__) / "limit.c") as source:
            run(["gcc", "-O2", "-o", str(program), str(source)])
    return program


def start_ovs(peer: Peer, topology: Topology) -> Setup:
    """Open vSwitch with its datapath in userspace, with files and sockets of its own: the system's is not touched."""
    directory = topology.directory / peer.name
    directory.mkdir()
    env = dict.fromkeys(("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"), str(directory))
    database, socket = directory / "conf.db", directory / "db.sock"
    balancer = topology.namespace(f"{peer.name}-balancer")
    run(["ovsdb-tool", "create", str(database), OVS_SCHEMA], env=env)
    keeper = topology.spawn(["ovsdb-server", f"--remote=punix:{socket}", str(database)], netns=balancer,
                            name=f"{peer.name}-db", env=env)
    keeper.wait_until(socket.exists, "listening", timeout_s=READY_TIMEOUT_S)
    run(["ovs-vsctl", f"--db=unix:{socket}", "--no-wait", "init"], env=env)
    process = topology.spawn(["ovs-vswitchd", f"unix:{socket}", "--disable-system"], netns=balancer, name=peer.name,
                             env=env)
    ports = [word for tap in TAPS for word in ("--", "add-port", "br0", tap, "--", "set", "interface", tap, "type=tap")]
    # Without --no-wait it returns when the daemon has made them.
    run(["ovs-vsctl", f"--db=unix:{socket}", "--timeout=10", "add-br", "br0", "--", "set", "bridge", "br0",
         "datapath_type=netdev", *ports], env=env)
    return _between(peer, topology, process, netns=balancer)


def _between(peer: Peer, topology: Topology, process: Process, *, netns: str) -> Setup:
    """The process's TAPs, which are in `netns`, become the devices of a client and a server."""
    client, server = hosts(peer, topology)
    for tap, end in zip(TAPS, (End(client, "c0", CLIENT_OF_SEGMENT), End(server, "s0", SERVER_ADDRESS)), strict=True):
        topology.move(tap, netns=netns, to=end)
    return Setup(peer, client, server, target=SERVER, balancer=process)
