"""A configuration with several workers: what each of them gets, and how frames are steered to them."""

import errno
from dataclasses import replace
from ipaddress import ip_address

import pytest
from control import CONFIG, control
from scapy.layers.l2 import ARP, Ether

from swlb import build as building
from swlb import ports
from swlb._worker import Worker
from swlb.addresses import packed
from swlb.build import Built, build, segment_mac
from swlb.build_ports import Opened
from swlb.config import parse
from swlb.ports import Ports
from swlb.steering import LINGERING, SERVER, VIP, SteeringError, roles_after, roles_of
from swlb.succession import up_at_start

MAC = bytes.fromhex("025e00000007")


def ip16(text: str) -> bytes:
    return packed(ip_address(text))


@pytest.mark.parametrize("n", [1, 3, 16])
def test_a_configuration_is_built_into_so_many_workers_with_the_same_answers(n):
    built = control(CONFIG.replace("mode: routed\n", f"mode: routed\nworkers: {n}\n")).built
    one = control().built
    assert len(built.workers) == n
    assert (built.segments, built.ports, built.services, built.servers) == (
        one.segments, one.ports, one.services, one.servers)  # fmt: skip
    assert built.workers.server(0) == one.workers.server(0)


def test_every_worker_reads_a_queue_of_its_own():
    opened = Opened((7, 8, 9), 1500)
    assert [opened.fd(number) for number in range(3)] == [7, 8, 9]
    assert replace(opened, fds=()).fd(2) is None


def test_keys_are_secrets_of_their_own():
    config = parse(CONFIG, file="test.yaml")
    names = [*config.ports, "outside/host", "inside/host"]
    up = {(service.name, server): True for service in config.services.values() for server in service.servers}
    keys = {build(config, dict.fromkeys(names, Opened((), 1500)), up_at_start=up).key for _ in range(5)}
    assert len(keys) == 5


@pytest.mark.parametrize("key", ["icmp_errors", "half_open"])
@pytest.mark.parametrize(("limit", "n", "each"), [(1000, 1, 1000), (1000, 4, 250), (3, 16, 1)])
def test_the_rate_of_icmp_errors_and_the_quota_of_half_open_sessions_are_shared_out(monkeypatch, key, limit, n, each):
    shares = []

    def noted(**sizes: int) -> Worker:
        shares.append(sizes[key])
        return Worker(**sizes)

    monkeypatch.setattr(building, "Worker", noted)
    limits = f"limits: {{sessions: 5000, {key}: {limit}}}"
    control(CONFIG.replace("limits: {sessions: 100}", f"workers: {n}\n{limits}"))
    assert shares == [each] * n


def test_every_vip_and_server_has_its_role():
    roles = roles_of(parse(CONFIG, file="test.yaml"))
    assert {address: role for address, role in roles.items() if role == VIP}.keys() == {
        ip16("10.0.1.100"), ip16("fd00:1::100")}  # fmt: skip
    assert {address: role for address, role in roles.items() if role == SERVER}.keys() == {
        ip16("10.0.2.11"), ip16("10.0.2.12"), ip16("fd00:2::11")}  # fmt: skip


def test_addresses_that_have_left_keep_their_roles_behind_those_in_the_configuration():
    before = {ip16("192.0.2.1"): VIP, ip16("10.0.2.11"): VIP, ip16("192.0.2.2"): SERVER}
    config = parse(CONFIG, file="test.yaml")
    roles = roles_after(before, config)
    assert list(roles.items()) == [*roles_of(config).items(), (ip16("192.0.2.1"), VIP), (ip16("192.0.2.2"), SERVER)]


def test_of_many_that_have_left_those_that_left_last_keep_their_roles():
    config = parse(CONFIG, file="test.yaml")
    roles: dict[bytes, int] = {}
    for net in range(LINGERING // 250 + 2):
        now = {ip16(f"192.0.{net}.{n}"): SERVER for n in range(250)}
        roles = roles_after({**now, **roles}, config)
    gone = [address for address in roles if address not in roles_of(config)]
    assert len(gone) == LINGERING
    assert gone[:250] == list(now)


def test_a_segment_has_the_mac_it_is_given_and_else_its_own():
    config = parse(CONFIG, file="test.yaml")
    names = [*config.ports, "outside/host", "inside/host"]
    built = build(config, dict.fromkeys(names, Opened((), 1500)), macs={"inside": MAC}, up_at_start=up_at_start(config))
    assert mac_of(built, "web1", "10.0.2.1") == MAC.hex(":")
    assert mac_of(built, "client", "10.0.1.1") == segment_mac(config.segments["outside"]).hex(":")


def mac_of(built: Built, port: str, ip: str) -> str:
    """Who says that he has the address, asked by way of the port."""
    worker, index = built.workers[0], built.ports[port]
    question = ARP(op=1, hwsrc="02:aa:00:00:00:01", psrc=str(ip_address(ip) + 9), pdst=ip)
    worker.put(index, bytes(Ether(src="02:aa:00:00:00:01", dst="ff:ff:ff:ff:ff:ff") / question))
    while worker.turn(10**12):
        pass
    frames = [Ether(frame) for _, frame in worker.take(index)]
    (answer,) = (frame[ARP] for frame in frames if ARP in frame and (frame[ARP].op, frame[ARP].psrc) == (2, ip))
    return answer.hwsrc


def test_a_kernel_that_refuses_the_program_is_a_line_in_the_log_and_nothing_else(monkeypatch, caplog):
    def refuse(*_: object, **__: object) -> None:
        raise SteeringError(errno.EPERM, "bpf: Operation not permitted")

    monkeypatch.setattr(ports, "Steering", refuse)
    config = parse(CONFIG.replace("mode: routed\n", "mode: routed\nworkers: 2\n"), file="test.yaml")
    Ports({}).listen(config, key=1)
    assert [record.getMessage() for record in caplog.records] == [
        "frames are not steered to their workers ([Errno 1] bpf: Operation not permitted): workers hand them over, "
        "which costs time"
    ]


def test_one_worker_is_not_steered_to(monkeypatch):
    monkeypatch.setattr(ports, "Steering", None)
    Ports({}).listen(parse(CONFIG, file="test.yaml"), key=1)
