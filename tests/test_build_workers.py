"""A configuration with several workers: what each of them gets, and how frames are steered to them."""

import errno
from dataclasses import replace
from ipaddress import ip_address

import pytest
from control import CONFIG, control

from swlb import build as building
from swlb import ports
from swlb._worker import Worker
from swlb.addresses import packed
from swlb.build import Opened, build
from swlb.config import parse
from swlb.ports import Ports
from swlb.steering import SERVER, VIP, SteeringError, roles_of


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


@pytest.mark.parametrize(("limit", "n", "each"), [(1000, 1, 1000), (1000, 4, 250), (3, 16, 1)])
def test_the_rate_of_icmp_errors_is_shared_out(monkeypatch, limit, n, each):
    rates = []

    def noted(**sizes: int) -> Worker:
        rates.append(sizes["icmp_errors"])
        return Worker(**sizes)

    monkeypatch.setattr(building, "Worker", noted)
    limits = f"limits: {{sessions: 100, icmp_errors: {limit}/s}}"
    control(CONFIG.replace("limits: {sessions: 100}", f"workers: {n}\n{limits}"))
    assert rates == [each] * n


def test_every_vip_and_server_has_its_role():
    roles = roles_of(parse(CONFIG, file="test.yaml"))
    assert {address: role for address, role in roles.items() if role == VIP}.keys() == {
        ip16("10.0.1.100"), ip16("fd00:1::100")}  # fmt: skip
    assert {address: role for address, role in roles.items() if role == SERVER}.keys() == {
        ip16("10.0.2.11"), ip16("10.0.2.12"), ip16("fd00:2::11")}  # fmt: skip


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
