"""What the configuration takes and refuses of checks over HTTP and TLS."""

from pathlib import Path

import pytest

from swlb.config import Check, parse
from swlb.config.check_values import StatusRange
from tests.config_text import BASE, Case, changed, problems, problems_of
from tests.pki import Pki

HOST_FORM = "a host name or an address, with a port where it matters: example.org:8443, [fd00:2::11]"
NAME_FORM = "a host name such as example.org, or an address"
CA_FORM = "the full path of a PEM file with certificates"
HEADERS_FORM = "a mapping of header names to values, such as {X-Probe: swlb}"


def check_of(check: str) -> Check:
    """The check of the service web, from the inside of its mapping."""
    (found,) = parse(changed("type: tcp", check), file="lab.yaml").services["web"].checks
    return found


def refused(name: str, check: str, key: str, found: str, expected: str) -> Case:
    return Case(name, "type: tcp", check, f"17: services.web.check.{key}: found {found}; expected {expected}")


CASES = [
    refused("a host of two words", 'type: http, host: "a b"', "host", '"a b"', HOST_FORM),
    refused("a host with an empty label", "type: http, host: a..b", "host", '"a..b"', HOST_FORM),
    refused("an IPv6 address without brackets", 'type: http, host: "fd00::1"', "host", '"fd00::1"', HOST_FORM),
    refused("brackets around no address", 'type: http, host: "[fd00::x]"', "host", '"[fd00::x]"', HOST_FORM),
    refused("a name with a port", 'type: tls, server_name: "a:443"', "server_name", '"a:443"', NAME_FORM),
    refused("a label of 64 letters", f"type: tls, server_name: {'a' * 64}", "server_name", f'"{"a" * 60}..."',
            NAME_FORM),
    refused("a path that is none", "type: http, path: healthz", "path", '"healthz"',
            "a path such as /healthz, without spaces and '#'"),
    refused("a path with a fragment", 'type: http, path: "/a#b"', "path", '"/a#b"',
            "a path such as /healthz, without spaces and '#'"),
    refused("a header that announces a body", "type: http, headers: {Content-Length: '5'}", "headers", "a mapping",
            f"{HEADERS_FORM}, and no Content-Length: a probe sends no body"),
    refused("a relative ca", "type: tls, ca: ca.pem", "ca", '"ca.pem"', CA_FORM),
    refused("a ca that is not there", "type: tls, ca: /nowhere/ca.pem", "ca", '"/nowhere/ca.pem"',
            f"{CA_FORM}; there is no such file"),
    refused("a ca that never ends", "type: tls, ca: /dev/zero", "ca", '"/dev/zero"',
            f"{CA_FORM}; there is no such file"),
    refused("a ca of a plain check", "type: http, ca: /nowhere/ca.pem", "ca",
            "a key that a check of type http does not have", "a type that has it: https or tls"),
    refused("content where there is no body", "type: http, method: HEAD, content: ok", "content",
            "content of an answer to HEAD, which has no body", "method GET, OPTIONS or POST"),
    refused("content_not where there is no body", "type: https, method: HEAD, content_not: ok", "content_not",
            "content of an answer to HEAD, which has no body", "method GET, OPTIONS or POST"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_cannot_be_is_refused(case: Case) -> None:
    assert problems_of(case) == [case.problem]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "there is none in this one"),
        (b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", "there is none in this one"),
        (b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "number 1 in this one is damaged"),
    ],
)
def test_a_ca_without_a_certificate_is_refused(tmp_path, content: bytes, why: str) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(content)
    (problem,) = problems(changed("type: tcp", f"type: tls, ca: {path}"))
    assert problem.startswith("17: services.web.check.ca: found ")
    assert problem.endswith(f"; expected {CA_FORM}; {why}")


def test_an_authority_that_nobody_asks_is_refused(tmp_path) -> None:
    (problem,) = problems(changed("type: tcp", f"type: tls, verify: false, ca: {Pki(tmp_path).ca}"))
    assert problem.startswith("17: services.web.check.ca: found ")
    assert problem.endswith(" beside verify: false, which takes any certificate; expected one of the two")


def test_a_ca_is_read_with_the_configuration(tmp_path) -> None:
    path = tmp_path / "a ca.pem"
    path.write_bytes("# Ä, in the encoding of its time\n".encode("latin-1") + Path(Pki(tmp_path).ca).read_bytes())
    ca = check_of(f'type: tls, ca: "{path}"').ca
    path.unlink()
    assert ca is not None
    assert str(ca) == str(path)
    assert ca.certificates.startswith("-----BEGIN CERTIFICATE-----")


def test_every_key_of_http_is_read() -> None:
    check = check_of(
        "type: https, port: 8443, method: POST, path: '/a?b=c', host: 'example.org:8443', headers: {X-Probe: swlb}, "
        "status: [200, 300-302], content: ok, content_not: /bad|worse/, body_limit: 1KiB, verify: false, "
        "server_name: example.com, expiry_warning: 30d"
    )
    assert (check.method, check.path, check.host) == ("POST", "/a?b=c", "example.org:8443")
    assert check.headers == (("X-Probe", "swlb"),)
    assert check.status == (StatusRange(200, 200), StatusRange(300, 302))
    assert (str(check.content), str(check.content_not), check.body_limit) == ("'ok'", "/bad|worse/", 1024)
    assert (check.verify, check.server_name, check.expiry_warning) == (False, "example.com", 30 * 86400)


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ("host: 'example.org:8443'", "example.org"),
        ("host: '[fd00::1]:8443'", "fd00::1"),
        ("host: 10.0.2.11", "10.0.2.11"),
        ("host: example.org, server_name: example.com", "example.com"),
        ("server_name: 'fd00::1'", "fd00::1"),
        ("path: /", None),
    ],
)
def test_a_certificate_must_be_for_the_name_that_is_asked_for(keys: str, name: str | None) -> None:
    assert check_of(f"type: https, {keys}").certificate_name == name


def test_a_head_request_may_say_what_status_it_wants() -> None:
    assert problems(BASE.replace("type: tcp", "type: http, method: HEAD, status: 204")) == []
