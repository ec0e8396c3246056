"""What the operator reads, and the exit code that goes with it."""

import errno
import os

from swlb.errors import ConfigError, NotRunning, PortError, Problem, SwlbError


def test_a_port_error_names_port_device_call_reason_and_advice() -> None:
    error = OSError(errno.EPERM, os.strerror(errno.EPERM))
    port_error = PortError(port="client", device="swc0", call="TUNSETIFF", error=error, advice="run swlb as root")
    assert str(port_error) == "port client (swc0): TUNSETIFF: Operation not permitted; run swlb as root"
    assert port_error.errno == errno.EPERM


def test_each_kind_of_error_has_its_exit_code() -> None:
    assert [kind.exit_code for kind in (SwlbError, PortError, ConfigError, NotRunning)] == [1, 1, 2, 3]


def test_a_configuration_error_reads_one_problem_a_line() -> None:
    error = ConfigError(Problem("f.yaml", 1, "a", "x", "y"), Problem("f.yaml", 0, "", "x", "y"))
    assert str(error) == "f.yaml:1: a: found x; expected y\nf.yaml: found x; expected y"
