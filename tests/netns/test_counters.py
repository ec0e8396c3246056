"""What `show` counts, against what passed the hosts' devices."""

import time
from ipaddress import ip_address

import dpkt
import pytest

from netns.capture import Captured, capturing, tcp_of
from netns.running import wait_until
from netns.sites import Routed
from netns.traffic import connect, echoed, get
from swlb.addresses import endpoint_text

pytestmark = pytest.mark.root

FAMILIES = pytest.mark.parametrize("family", [4, 6])
COUNTERS = ("sessions_total", "packets_in", "packets_out", "bytes_in", "bytes_out")
SUMMED = ("sessions_active", "sessions_inactive", *COUNTERS)


def of_port(frames: list[Captured], port: int) -> list[Captured]:
    """The TCP packets from or to the l4_port."""
    found = [(frame, tcp_of(frame)) for frame in frames]
    return [frame for frame, tcp in found if tcp and port in (tcp.sport, tcp.dport)]


def ip_len(frame: Captured) -> int:
    packet = dpkt.ethernet.Ethernet(frame.data).data
    return packet.len if packet.v == 4 else 40 + packet.plen


@FAMILIES
def test_one_connection_is_counted_as_the_client_s_device_saw_it(routed, family):
    before = routed.swlb.row("services", service="web")
    with capturing(routed.client) as capture:
        answer = get(routed.client, Routed.vips[family])
        client = endpoint_text(ip_address(answer.client[0]), answer.client[1])
        wait_until(lambda: routed.swlb.row("sessions", client=client)["state"] in ("TIME_WAIT", "CLOSED"), "closed")
    sent = of_port(capture.packets(outgoing=True), answer.client[1])
    received = of_port(capture.packets(outgoing=False), answer.client[1])
    after = routed.swlb.row("services", service="web")
    assert {name: after[name] - before[name] for name in COUNTERS} == {
        "sessions_total": 1,
        "packets_in": len(sent),
        "packets_out": len(received),
        "bytes_in": sum(map(ip_len, sent)),
        "bytes_out": sum(map(ip_len, received)),
    }


@FAMILIES
def test_a_request_is_counted_for_the_server_that_answered_it(routed, family):
    before = {row["server"]: row["sessions_total"] for row in routed.swlb.show("servers") if row["service"] == "web"}
    answer = get(routed.client, Routed.vips[family])
    after = {row["server"]: row["sessions_total"] for row in routed.swlb.show("servers") if row["service"] == "web"}
    name = answer.server + ("v6" if family == 6 else "")
    assert after == before | {name: before[name] + 1}


@pytest.mark.parametrize("service", ["web", "echo"])
def test_a_service_s_figures_are_the_sums_of_its_servers(routed, service):
    for family in (4, 6):
        get(routed.client, Routed.vips[family])
        echoed(routed.client, Routed.vips[family], 7)

    def agree() -> bool:
        # Two requests a moment apart: the last frames of a connection may fall between them.
        whole = routed.swlb.row("services", service=service)
        parts = [row for row in routed.swlb.show("servers") if row["service"] == service]
        return whole["sessions_total"] > 0 and all(whole[name] == sum(row[name] for row in parts) for name in SUMMED)

    wait_until(agree, "the service's figures are the sums")


def test_open_and_closing_sessions_are_counted_apart(routed):
    def active() -> int:
        return routed.swlb.row("services", service="web")["sessions_active"]

    quiet = active()
    with connect(routed.client, Routed.vips[4], 80):
        wait_until(lambda: active() == quiet + 1, "one more active")
    wait_until(lambda: active() == quiet, "no longer active")


def test_a_port_counts_the_frames_of_its_device(routed):
    def figures() -> tuple[int, int]:
        row = routed.swlb.row("ports", port="client")
        return row["rx_frames"], row["rx_bytes"]

    def sent() -> tuple[int, int]:
        frames = [frame for frame in list(capture.frames) if frame.outgoing]
        return len(frames), sum(len(frame.data) for frame in frames)

    before = settled(figures)
    with capturing(routed.client) as capture:
        get(routed.client, Routed.vips[4])
        wait_until(lambda: sent()[0] >= 5, "the packets of a connection")
        # The client's kernel says something of its own at any time (MLD), and figures are of a moment ago.
        wait_until(lambda: tuple(map(int.__add__, before, sent())) == figures(), "what was sent is counted")


def settled(figures) -> tuple[int, int]:
    """The figures once they do not change for a while."""

    def unchanged() -> tuple[int, int] | None:
        first = figures()
        time.sleep(0.3)
        return first if figures() == first else None

    return wait_until(unchanged, "nothing is sent")
