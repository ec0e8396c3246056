"""Checks over HTTP and TLS through a running swlb: what a server says takes it out and puts it back."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from netns.running import Host, Site, wait_until
from netns.sites import CHECK, WEB_PORT, Routed, site
from netns.traffic import get, http_server, listening, shares
from tests.pki import Pki

pytestmark = pytest.mark.root

FAMILIES = (4, 6)
OUT_OF_ORDER = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
READY = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nready\n"
Serve = Callable[[socket.socket], None]


def answering(answer: bytes, tls: ssl.SSLContext | None = None) -> Serve:
    """Answers whatever is asked with this, within TLS where there is a context."""

    def serve(connection: socket.socket) -> None:
        if tls is not None:
            connection = tls.wrap_socket(connection, server_side=True)
        with connection:
            connection.recv(4096)
            connection.sendall(answer)

    return serve


@contextmanager
def at_all_addresses(host: Host, serve: Serve) -> Iterator[None]:
    """Within the block the host serves like this in both families."""
    with ExitStack() as stack:
        for family in FAMILIES:
            stack.enter_context(listening(host, host.address(family), WEB_PORT, serve))
        yield


def health_of(at: Site, server: str) -> tuple[str, str]:
    """The status and the sentence of the server's last probe."""
    row = at.swlb.row("health", service="web", server=server)
    return row["check_status"], row["detail"]


def test_a_server_that_says_no_is_taken_out_and_comes_back(make_netns, tmp_path):
    check = {**CHECK, "type": "http", "path": "/healthz", "content": '"server"'}
    with (
        site(Routed, make_netns, tmp_path, change=lambda config: config["services"]["web"].update(check=check)) as at,
        ExitStack() as others,
    ):
        for host in at.servers:
            if host.name != "web2":
                for family in FAMILIES:
                    others.enter_context(http_server(host, host.address(family), WEB_PORT))
        with at_all_addresses(at["web2"], answering(OUT_OF_ORDER)):
            at.swlb.wait_operational("up", "web/web1", "web/web3v6")
            at.swlb.wait_operational("down", "web/web2", "web/web2v6")
            assert health_of(at, "web2") == ("L7STS", "status 503, expected 200-399")
            for family in FAMILIES:
                assert shares(at.client, Routed.vips[family], 20) == {"web1": 10, "web3": 10}
        with at_all_addresses(at["web2"], answering(READY)):
            lacking = ("L7STS", "'\"server\"' not found in the 6 bytes of the body")
            wait_until(lambda: health_of(at, "web2v6") == lacking, "content missed")
            assert at.swlb.operational()["web/web2v6"] == "down"
        for family in FAMILIES:
            others.enter_context(http_server(at["web2"], at["web2"].address(family), WEB_PORT))
        at.swlb.wait_operational("up")
        assert health_of(at, "web2")[0] == "L7OK"
        assert {get(at.client, Routed.vips[4]).server for _ in range(6)} == {"web1", "web2", "web3"}


@pytest.mark.parametrize("kind", ["https", "tls"])
def test_a_server_whose_certificate_has_ended_is_taken_out(make_netns, tmp_path, kind):
    pki = Pki(tmp_path)
    check = {**CHECK, "type": kind, "ca": pki.ca, "server_name": "web.example", "response": "1s"}
    made = {"web1": pki.server("web.example"), "web2": pki.server("web.example", days=-3.5),
            "web3": pki.server("web.example", days=3.5)}  # fmt: skip
    with (
        site(Routed, make_netns, tmp_path, change=lambda config: config["services"]["web"].update(check=check)) as at,
        ExitStack() as stack,
    ):
        for host in at.servers:
            stack.enter_context(at_all_addresses(host, answering(READY, made[host.name])))
        at.swlb.wait_operational("up", "web/web1", "web/web1v6", "web/web3", "web/web3v6")
        at.swlb.wait_operational("down", "web/web2", "web/web2v6")
        status, detail = health_of(at, "web2v6")
        assert status == "L6RSP"
        assert ": its certificate expired 3 days ago (" in detail
        status, detail = health_of(at, "web3")
        assert status == ("L7OK" if kind == "https" else "L6OK")
        assert "; certificate expires in 3 days (" in detail
