"""What `swlb check` says of a probe of each type."""

import pytest

from swlb.asks import asks, hears_silence
from swlb.config import Check, parse
from swlb.config.check_models import Step
from swlb.config.check_values import Pattern, read_pattern
from swlb.explain import explain
from swlb.probes import KINDS
from tests.config_text import changed

MAIL = (Step(expect=Pattern("220")), Step(send=b"NOOP\r\n"), Step(expect_not=read_pattern("/^5/")))

CHECKS = {
    "tcp": (Check(), "A probe is a TCP handshake, ended by FIN"),
    "half_open": (Check(half_open=True), "A probe is SYN, and RST in answer to SYN-ACK"),
    "icmp": (Check(type="icmp"), "one echo request"),
    "udp": (Check(type="udp", response=0.5), "datagram; any answer is good, and so is silence, known after 500ms"),
    "udp with expect": (
        Check(type="udp", send=b"PING", expect=Pattern("PONG")),
        "A probe is the datagram 'PING'; the first answer must contain 'PONG', and silence is a failure.",
    ),
    "dns": (Check(type="dns"), "asks for . SOA over UDP; the response must come with NOERROR."),
    "dns with an answer": (
        Check(type="dns", query="example.org", record="A", rcode="any", answer=Pattern("10.0.2.11")),
        "asks for example.org A over UDP; the response must come with any response code, and one of its answers must "
        "contain '10.0.2.11'.",
    ),
    "script": (
        Check(type="script", steps=(*MAIL, Step(expect=Pattern("250")))),
        r"its steps: expect '220', send 'NOOP\r\n', expect_not /^5/, expect '250'. What expect_not names must not come",
    ),
    "a long script": (Check(type="script", steps=MAIL[:2] * 6), r"expect '220', send 'NOOP\r\n', 4 more."),
    "exec": (Check(type="exec", command=("/bin/true", "-x")), "runs /bin/true -x, as the user of swlb, without"),
    "agent": (Check(type="agent", send=b"web1\n"), r"A probe sends 'web1\n' and reads one line"),
}


@pytest.mark.parametrize(("check", "sentence"), CHECKS.values(), ids=CHECKS)
def test_a_probe_is_explained(check: Check, sentence: str) -> None:
    assert sentence in asks(check)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_there_is_has_a_sentence(kind: str) -> None:
    assert asks(Check(type=kind)).startswith("A probe ")


def explained(check: str) -> str:
    return explain(parse(changed("{type: tcp}", check), file="lab.yaml"))


def test_the_sentence_stands_with_the_check_and_no_line_is_too_long() -> None:
    lines = explained("{type: agent, port: 99}").splitlines()
    assert "first probe of a server is decided. A probe reads one line" in " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("{type: udp, expect: pong}", "whichever comes first: a server that falls silent is out within 7s. While"),
        ("{type: udp}", "whichever comes first. While"),
        ("{type: agent}", "Down once the agent says so. While"),
        ("{type: exec, command: [/bin/true]}", "first: a server whose program does not end is out within 7s. While"),
    ],
)
def test_that_silence_puts_a_server_out_is_only_said_where_it_does(check: str, words: str) -> None:
    assert words in " ".join(explained(check).split())


def test_silence_is_heard_by_checks_that_expect_something() -> None:
    assert hears_silence(Check(type="dns"))
    assert not hears_silence(Check(type="udp"))
