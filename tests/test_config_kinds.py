"""Checks of type udp, dns, script, exec and agent, and half-open ones, as a file says them."""

import pytest
from dns.message import make_query

from swlb.config import Check, parse
from swlb.config.check_models import Step
from swlb.config.check_values import Pattern, read_pattern
from tests.config_text import Case, changed, problems_of


def read(check: str) -> Check:
    """The check of service web as it is written in braces."""
    service = parse(changed("{type: tcp}", check), file="lab.yaml").services["web"]
    (found,) = service.checks
    return found


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("{type: tcp, half_open: true}", Check(type="tcp", half_open=True)),
        ("{type: udp}", Check(type="udp", send=None, expect=None)),
        ('{type: udp, port: 53, send: "hex:00 ff", expect: pong}',
         Check(type="udp", port=53, send=b"\x00\xff", expect=Pattern("pong"))),
        ("{type: dns}", Check(type="dns", query=".", record="SOA", rcode="NOERROR", answer=None)),
        ("{type: dns, query: www.example.org, record: A, rcode: any, answer: 10.0.2.11}",
         Check(type="dns", query="www.example.org", record="A", rcode="any", answer=Pattern("10.0.2.11"))),
        ('{type: script, steps: [{expect: "220"}, {send: "QUIT\\r\\n"}, {expect_not: "/^5/"}, {expect: "221"}]}',
         Check(type="script", steps=(Step(expect=Pattern("220")), Step(send=b"QUIT\r\n"),
                                     Step(expect_not=read_pattern("/^5/")), Step(expect=Pattern("221"))))),
        ("{type: exec, command: [/bin/sh, -c, exit 0]}", Check(type="exec", command=("/bin/sh", "-c", "exit 0"))),
        ('{type: agent, port: 99, send: "web1\\n"}', Check(type="agent", port=99, send=b"web1\n", retries=1, rise=1)),
    ],
)  # fmt: skip
def test_a_check_is_read(text: str, check: Check) -> None:
    assert read(text) == check


CASES = [
    Case("a script without steps", "{type: tcp}", "{type: script}",
         "17: services.web.check: found a check of type script without steps; "
         'expected steps, such as [{send: "PING\\r\\n"}, {expect: "+PONG"}]'),
    Case("a script of no steps", "{type: tcp}", "{type: script, steps: []}",
         "17: services.web.check: found a check of type script without steps; "
         'expected steps, such as [{send: "PING\\r\\n"}, {expect: "+PONG"}]'),
    Case("a step that does two things", "{type: tcp}", '{type: script, steps: [{send: "a", expect: "b"}]}',
         "17: services.web.check.steps: found a list; expected steps with one key each: send, expect or expect_not"),
    Case("a step that does nothing", "{type: tcp}", "{type: script, steps: [{}]}",
         "17: services.web.check.steps[0]: found a step without a key; "
         "expected steps with one key each: send, expect or expect_not"),
    Case("a bar without an end", "{type: tcp}", '{type: script, steps: [{expect: "a"}, {expect_not: "b"}]}',
         "17: services.web.check.steps: found a list; "
         "expected an expect behind each expect_not, to say how far to look"),
    Case("a bar before the end that is no end", "{type: tcp}",
         '{type: script, steps: [{expect_not: "b"}, {send: "a"}]}',
         "17: services.web.check.steps: found a list; "
         "expected an expect behind each expect_not, to say how far to look"),
    Case("a step of another kind", "{type: tcp}", '{type: script, steps: [{sned: "a"}]}',
         "17: services.web.check.steps[0].sned: found an unknown key; "
         "expected one of send, expect or expect_not; did you mean send?"),
    Case("an exec check without a command", "{type: tcp}", "{type: exec}",
         "17: services.web.check: found a check of type exec without command; "
         "expected command, such as [/usr/local/bin/is-ready]"),
    Case("a command in one piece", "{type: tcp}", "{type: exec, command: /bin/true}",
         '17: services.web.check.command: found "/bin/true"; '
         "expected a list of a program and its arguments, such as [/usr/local/bin/is-ready, --fast]"),
    Case("a program without its path", "{type: tcp}", "{type: exec, command: [is-ready]}",
         "17: services.web.check.command: found a list; "
         "expected a list that begins with the program's full path, such as [/usr/local/bin/is-ready]"),
    Case("a program that is not there", "{type: tcp}", "{type: exec, command: [/no/such/program]}",
         '17: services.web.check.command: found "/no/such/program", which is no file here; '
         "expected the full path of a program"),
    Case("a program that is a folder", "{type: tcp}", "{type: exec, command: [/etc]}",
         '17: services.web.check.command: found "/etc", which is no file here; expected the full path of a program'),
    Case("a file that may not be executed", "{type: tcp}", "{type: exec, command: [/etc/passwd]}",
         '17: services.web.check.command: found "/etc/passwd", which may not be executed; '
         "expected a program; make it one with: chmod +x /etc/passwd"),
    Case("a port of a program", "{type: tcp}", "{type: exec, command: [/bin/true], port: 80}",
         "17: services.web.check.port: found a key that a check of type exec does not have; "
         "expected a type that has it: tcp, http, https, tls, udp, dns, script or agent"),
    Case("an empty datagram that is written", "{type: tcp}", '{type: udp, send: ""}',
         '17: services.web.check.send: found ""; '
         'expected text, or bytes such as "hex:00 ff", at most 1400 bytes'),
    Case("steps of a udp check", "{type: tcp}", '{type: udp, steps: [{send: "a"}]}',
         "17: services.web.check.steps: found a key that a check of type udp does not have; "
         "expected a type that has it: script"),
    Case("a domain name with an empty label", "{type: tcp}", "{type: dns, query: www..org}",
         '17: services.web.check.query: found "www..org"; '
         "expected a domain name such as example.org, or . for the root"),
    Case("a record that is none", "{type: tcp}", "{type: dns, record: AAA}",
         '17: services.web.check.record: found "AAA"; '
         "expected A, AAAA, CNAME, MX, NS, PTR, SOA, SRV or TXT; did you mean AAAA?"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_wrong_is_named(case: Case) -> None:
    assert problems_of(case) == [case.problem]


LABEL = "a" * 63


@pytest.mark.parametrize(
    ("name", "good"),
    [
        (".", True),
        ("org", True),
        ("example.org.", True),
        ("_sip._tcp.example.org", True),
        ("1/24.2.0.10.in-addr.arpa", True),
        (f"{LABEL}.org", True),
        (f"a{LABEL}.org", False),
        (".".join([LABEL, LABEL, LABEL, "a" * 61]), True),
        (".".join([LABEL, LABEL, LABEL, "a" * 62]), False),
        (".".join([LABEL, LABEL, LABEL, "a" * 61, ""]), True),
        ("..", False),
        (".org", False),
        ("münchen.example", False),
        ("a b", False),
    ],
)
def test_a_domain_name_is_one_that_a_query_can_carry(name: str, good: bool) -> None:
    if good:
        check = read(f'{{type: dns, query: "{name}"}}')
        assert make_query(check.query, check.record).to_wire()
    else:
        case = Case("", "{type: tcp}", f'{{type: dns, query: "{name}"}}', "")
        assert "expected a domain name" in problems_of(case)[0]
