"""What is read out of the reports of wrk and sockperf. The reports are real ones, shortened."""

import pytest

from swlb.bench.commands import BenchError
from swlb.bench.drivers import read_sockperf, read_wrk
from swlb.bench.figure import Reading

WRK = """Running 2s test @ http://10.0.1.100:80/
  2 threads and 32 connections
  28351 requests in 2.10s, 4.00MB read
Requests/sec:  13503.25
Transfer/sec:      1.91MB
"""
WRK_WITH_ERRORS = WRK.replace("Requests/sec:", "  Socket errors: connect 0, read 12, write 0, timeout 3\nRequests/sec:")
SOCKPERF = """sockperf: ====> avg-latency=47.542 (std-dev=9.018)
sockperf: ---> <MAX> observation =  412.503
sockperf: ---> percentile 99.900 =  140.215
sockperf: ---> percentile 99.000 =   73.801
sockperf: ---> percentile 50.000 =   46.010
sockperf: ---> <MIN> observation =   11.233
"""


def test_wrk_rate_is_in_thousands() -> None:
    assert read_wrk(WRK) == Reading((13.50325,))


def test_wrk_errors_become_a_remark() -> None:
    assert read_wrk(WRK_WITH_ERRORS).remark == "Socket errors: connect 0, read 12, write 0, timeout 3"


def test_wrk_without_one_answer_is_a_failure() -> None:
    with pytest.raises(BenchError, match="not one answer"):
        read_wrk(WRK.replace("13503.25", "0.00"))


def test_wrk_without_a_rate_is_a_failure() -> None:
    with pytest.raises(BenchError, match="unable to connect"):
        read_wrk("unable to connect to 10.0.1.100:http Connection refused")


def test_sockperf_gives_median_and_99th_percentile() -> None:
    assert read_sockperf(SOCKPERF) == Reading((46.010, 73.801))


def test_sockperf_without_percentiles_is_a_failure() -> None:
    with pytest.raises(BenchError, match="No messages"):
        read_sockperf("sockperf: No messages were received from the server. Is the server down?")
