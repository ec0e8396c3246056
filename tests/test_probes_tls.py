"""swlb/probes/tls.py, and http.py within TLS, against servers on loopback with certificates of all kinds."""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from swlb.config.web_values import read_ca
from swlb.probes import Outcome, Target
from swlb.probes.certificates import context_of, read_certificate
from tests.http_servers import banner, body, reset
from tests.pki import Pki
from tests.probing import ask, probed
from tests.raw_server import asked, outcome_of, saying, serving, silent

HERE = "127.0.0.1"
KINDS = ["tls", "https"]
WELL = saying(body(b"ok"))


@pytest.fixture(autouse=True)
def _no_complaints(caplog) -> Iterator[None]:
    """asyncio has nothing to say about what a probe leaves behind."""
    with caplog.at_level(logging.WARNING):
        yield
    assert [record.getMessage() for record in caplog.records] == []


@pytest.fixture(scope="module")
def pki(tmp_path_factory) -> Pki:
    """An authority, and certificates of it."""
    return Pki(tmp_path_factory.mktemp("pki"))


def verdict(pki: Pki, kind: str, context: ssl.SSLContext, **keys: object) -> Outcome:
    """The outcome where the server answers well, but for its certificate perhaps."""
    return outcome_of(WELL if kind == "https" else silent, kind, tls=context, **{"ca": read_ca(pki.ca), **keys})


def day(days: float) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}"


# Certificates that are good


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_certificate_is_l6ok_or_goes_on_to_http(pki, kind):
    outcome = verdict(pki, kind, pki.server(HERE))
    assert (outcome.ok, outcome.status) == (True, "L6OK" if kind == "tls" else "L7OK")
    assert outcome.detail.startswith("TLS 1.3 after" if kind == "tls" else "status 200 after")
    assert list(outcome.phases)[:2] == ["connect", "tls"]
    assert outcome.warning == ""


def test_an_older_version_is_told(pki):
    context = pki.server(HERE)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert verdict(pki, "tls", context).detail.startswith("TLS 1.2 after")


@pytest.mark.parametrize("self_signed", [True, False])
def test_the_servers_own_certificate_may_be_what_is_trusted(pki, self_signed):
    context = pki.server(HERE, self_signed=self_signed)
    assert verdict(pki, "tls", context, ca=read_ca(pki.last)).status == "L6OK"


@pytest.mark.parametrize(
    ("keys", "asked_for"),
    [
        ({"server_name": "example.org"}, "example.org"),
        ({"host": "example.org:8443"}, "example.org"),
        ({"host": "example.org.", "server_name": "example.org."}, "example.org"),
        ({"host": "no.example", "server_name": "example.org"}, "example.org"),
        ({}, None),  # an address is never named (RFC 6066 section 3), but the certificate must be for it
    ],
)
def test_the_server_is_asked_for_the_name_that_its_certificate_must_have(pki, keys, asked_for):
    context, names = pki.server(HERE, "example.org"), []
    context.sni_callback = lambda _connection, name, _context: names.append(name)
    assert verdict(pki, "https", context, **keys).status == "L7OK"
    assert names == [asked_for]


def test_the_address_of_an_ipv6_server_may_be_the_name(pki):
    async def run() -> Outcome:
        async with serving(silent, host="::1", tls=pki.server("::1")) as served:
            return await asked(served, "tls", ca=read_ca(pki.ca))

    assert asyncio.run(run()).status == "L6OK"


# Certificates that end


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_that_ends_soon_is_a_warning_and_no_failure(pki, kind):
    outcome = verdict(pki, kind, pki.server(HERE, days=3.5))
    assert outcome.ok
    assert outcome.warning == f"certificate expires in 3 days ({day(3.5)})"
    assert outcome.detail.endswith(f" ms; {outcome.warning}")


@pytest.mark.parametrize(("days", "warning"), [(20.5, ""), (1.5, "in 1 day ("), (0.52, "in 12 hours ("),
                                               (0.01, "in less than an hour (")])  # fmt: skip
def test_a_warning_says_how_soon(pki, days, warning):
    assert warning in verdict(pki, "tls", pki.server(HERE, days=days)).warning


def test_how_soon_is_soon_is_the_checks_to_say(pki):
    context = pki.server(HERE, days=20.5)
    assert "in 20 days" in verdict(pki, "tls", context, expiry_warning=21 * 86400.0).warning
    assert verdict(pki, "tls", context, expiry_warning=0.0).warning == ""


@pytest.mark.parametrize("kind", KINDS)
def test_an_expired_certificate_is_l6rsp_and_says_since_when(pki, kind):
    outcome = verdict(pki, kind, pki.server(HERE, days=-3.5))
    assert (outcome.ok, outcome.status) == (False, "L6RSP")
    assert outcome.detail.endswith(f": its certificate expired 3 days ago ({day(-3.5)})")


def test_an_expired_certificate_is_a_warning_where_any_is_taken(pki):
    outcome = verdict(pki, "tls", pki.server(HERE, days=-3.5), verify=False)
    assert (outcome.ok, outcome.status) == (True, "L6OK")
    assert outcome.warning == f"certificate expired 3 days ago ({day(-3.5)})"


def test_a_server_that_shows_an_expired_certificate_only_once_is_expired_all_the_same(pki):
    async def run() -> tuple[Outcome, int]:
        first = threading.Event()

        def once(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> int | None:
            if first.is_set():
                return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
            return first.set()

        context = pki.server(HERE, days=-3.5)
        context.sni_callback = once
        async with serving(silent, tls=context) as served:
            return await asked(served, "tls", ca=read_ca(pki.ca)), served.target.l4_port

    outcome, l4_port = asyncio.run(run())
    assert outcome.status == "L6RSP"
    assert outcome.detail == f"{HERE}:{l4_port}: its certificate, or one above it, has expired"


# Certificates that are not good enough


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("names", "made", "keys", "detail"),
    [
        (("example.org", "a.example"), {}, {"server_name": "example.com"},
         "not for example.com but for example.org, a.example; set server_name:, or verify: false"),
        (("a", "b", "c", "d"), {}, {}, "not for 127.0.0.1 but for a, b, c, ...; set server_name:, or verify: false"),
        ((), {}, {}, "not for 127.0.0.1 and names nobody; set server_name:, or verify: false"),
        ((HERE,), {"self_signed": True}, {}, "its certificate is self-signed; set ca: to it, or verify: false"),
        ((HERE,), {}, {"ca": None}, "nobody who is trusted here has signed its certificate, or one between is missing; "
         "set ca:, or verify: false"),
        ((HERE,), {"begun_days_ago": -2}, {}, f"its certificate is not good before {day(2)} "),
    ],
)  # fmt: skip
def test_a_certificate_that_is_not_good_enough_is_l6rsp_and_says_why(pki, kind, names, made, keys, detail):
    outcome = verdict(pki, kind, pki.server(*names, **made), **keys)
    assert (outcome.ok, outcome.status) == (False, "L6RSP")
    assert detail in outcome.detail


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("made", [{"self_signed": True}, {"begun_days_ago": -2}])
def test_any_certificate_is_good_enough_without_verification(pki, kind, made):
    assert verdict(pki, kind, pki.server("no.example", **made), ca=None, verify=False).ok


# Servers that do not speak TLS, or not to the end


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("talk", "status", "detail"),
    [
        (silent, "L6TOUT", "no TLS handshake from 127.0.0.1:"),
        (banner, "L6RSP", ": what came is no TLS"),
        (reset, "L6RSP", ", within the TLS handshake"),
    ],
    ids=["silent", "another protocol", "reset"],
)
def test_a_server_without_tls_is_told_from_one_that_is_silent(kind, talk, status, detail):
    outcome = outcome_of(talk, kind, response=0.5 if talk is silent else 5.0)
    assert (outcome.ok, outcome.status) == (False, status)
    assert detail in outcome.detail


def test_a_server_of_http_is_no_tls():
    async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    assert outcome_of(refusing, "tls").detail.endswith(": what came is no TLS")


def test_a_server_that_takes_no_version_of_ours_is_l6rsp(pki):
    context = pki.server(HERE)
    context.set_ciphers("aNULL")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    outcome = verdict(pki, "tls", context)
    assert outcome.status == "L6RSP"
    assert "handshake" in outcome.detail


def test_silence_after_the_handshake_is_https_matter_alone(pki):
    context = pki.server(HERE)
    outcome = outcome_of(silent, "https", tls=context, ca=read_ca(pki.ca), response=0.8)
    assert outcome.status == "L7TOUT"
    assert outcome.detail.startswith("no response line from")


def test_a_closed_l4_port_is_l4con():
    with socket.create_server((HERE, 0)) as sock:
        target = Target(ip_address(HERE), sock.getsockname()[1])
    assert probed(ask("tls", target, response=5.0)).status == "L4CON"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_secure", [True, False])
def test_a_cancelled_probe_leaves_nothing(pki, kind, is_secure):
    async def run() -> None:
        async with serving(silent, tls=pki.server(HERE) if is_secure else None) as served:
            served.remember()
            probe = asyncio.ensure_future(ask(kind, served.target, response=60.0, ca=read_ca(pki.ca)))
            await served.is_asked()
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)
            assert served.is_left_alone()

    asyncio.run(run())


# What the server notices


@contextmanager
def strict_server(context: ssl.SSLContext, answer: bytes = b"") -> Iterator[tuple[Target, "Future[bytes]"]]:
    """A server that takes a connection that ends without a goodbye, or by a reset, for the attack that it could be.

    What it read last is the result, b"" at an orderly end. With an `answer` it gives that first.
    """
    end: Future[bytes] = Future()

    def serve(listener: socket.socket) -> None:
        accepted, _ = listener.accept()
        with accepted.dup() as raw:
            try:
                with context.wrap_socket(accepted, server_side=True, suppress_ragged_eofs=False) as connection:
                    if answer:
                        connection.recv(4096)
                        connection.sendall(answer)
                    last = connection.recv(1)
                    end.set_result(last if answer else connection.unwrap().recv(1))
            except OSError as error:
                raw.recv(4096)  # what is left unread makes the kernel reset the connection
                end.set_exception(error)

    with socket.create_server((HERE, 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener])
        thread.start()
        yield Target(ip_address(HERE), listener.getsockname()[1]), end
        thread.join()


@pytest.mark.parametrize(("kind", "answer"), [("tls", b""), ("https", body(b"ok"))])
def test_the_server_sees_an_orderly_end(pki, kind, answer):
    with strict_server(pki.server(HERE), answer) as (target, end):
        outcome = asyncio.run(ask(kind, target, response=5.0, ca=read_ca(pki.ca)))
        assert end.result(5) == b""
    assert outcome.ok


def test_a_server_that_wants_a_certificate_of_ours_is_l6rsp(pki):
    context = pki.server(HERE)
    context.load_verify_locations(pki.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    with strict_server(context) as (target, end):
        outcome = asyncio.run(ask("https", target, response=5.0, ca=read_ca(pki.ca)))
        assert end.exception(5) is not None
    assert outcome.status == "L6RSP"
    assert outcome.detail.endswith(": TLS handshake failed: tlsv13 alert certificate required")


def test_a_server_that_does_not_say_goodbye_costs_a_good_answer_nothing(pki):
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()
        await asyncio.sleep(60)

    outcome = outcome_of(deaf, "tls", tls=pki.server(HERE), ca=read_ca(pki.ca), response=1.0)
    assert outcome.status == "L6OK"


# What is made once


def test_the_same_authorities_are_read_once(pki):
    assert context_of(True, read_ca(pki.ca)) is context_of(True, read_ca(pki.ca))
    assert context_of(True, None) is not context_of(False, None)


def test_a_certificate_that_cannot_be_read_says_nothing():
    assert read_certificate(b"\x30\x03garbage") is None
