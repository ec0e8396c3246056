"""swlb/probes/dns.py against servers on loopback; scapy reads the queries and builds the responses."""

import socket
from collections.abc import Callable

import pytest
from dns.message import make_query
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR

from swlb.config import Check
from swlb.config.check_values import Pattern, read_pattern
from swlb.probes import Outcome
from swlb.probes.dns import judge
from tests.answering import HOSTS, answering, bound, target_of
from tests.probing import ask, probed

NXDOMAIN, SERVFAIL, REFUSED = 3, 2, 5
ADDRESS = DNSRR(rrname="www.example.org", type="A", rdata="10.0.2.11")
Replies = Callable[[DNS], list[DNS | bytes]]


def respond(query: DNS, *, rcode: int = 0, answers: tuple[DNSRR, ...] = (ADDRESS,), **fields: object) -> DNS:
    """A response to the query, with these fields instead of the right ones."""
    right = {"id": query.id, "qr": 1, "rd": 1, "qd": query.qd, "rcode": rcode, "an": list(answers)}
    return DNS(**(right | fields))


def resolved(replies: Replies, host: str = HOSTS[0], *, response: float = 5.0, **keys: object) -> Outcome:
    """The outcome of a query for www.example.org A that is answered so."""
    keys = {"query": "www.example.org", "record": "A", **keys}
    with answering(host, lambda wire: map(bytes, replies(DNS(wire)))) as target:
        return probed(ask("dns", target, response=response, **keys))


@pytest.mark.parametrize("host", HOSTS)
def test_a_response_is_l7ok(host):
    outcome = resolved(lambda query: [respond(query)], host)
    assert (outcome.ok, outcome.status) == (True, "L7OK")
    took = f"{outcome.duration_ms:.1f} ms"
    assert f"answered www.example.org A after {took} with NOERROR" in outcome.detail


def test_the_query_is_the_one_that_the_check_says():
    seen = []

    def heard(query: DNS) -> list[DNS]:
        seen.append(query)
        return [respond(query)]

    for _ in range(3):
        resolved(heard, query="www.example.org.", record="AAAA")
    questions = {(bytes(query.qd[0].qname), query.qd[0].qtype, query.qd[0].qclass) for query in seen}
    assert questions == {(b"www.example.org.", 28, 1)}
    assert [(query.qr, query.opcode, query.rd, query.qdcount) for query in seen] == [(0, 0, 1, 1)] * 3
    assert len({query.id for query in seen}) > 1  # three alike: once in 4 billion


def test_the_root_is_asked_for_its_soa_by_default():
    seen = []
    with answering(HOSTS[0], lambda wire: [seen.append(DNS(wire)) or bytes(respond(DNS(wire), answers=()))]) as target:
        outcome = probed(ask("dns", target, response=5.0))
    assert outcome.status == "L7OK"
    assert [(bytes(query.qd[0].qname), query.qd[0].qtype) for query in seen] == [(b".", 6)]


@pytest.mark.parametrize(
    ("rcode", "wanted", "status"),
    [
        (SERVFAIL, "NOERROR", "L7STS"),
        (NXDOMAIN, "NOERROR", "L7STS"),
        (NXDOMAIN, "NXDOMAIN", "L7OK"),
        (0, "NXDOMAIN", "L7STS"),
        (REFUSED, "any", "L7OK"),
    ],
)
def test_the_response_code_must_be_the_one_asked_for(rcode, wanted, status):
    outcome = resolved(lambda query: [respond(query, rcode=rcode, answers=())], rcode=wanted)
    assert (outcome.ok, outcome.status) == (status == "L7OK", status)


def test_a_wrong_response_code_is_named_with_the_right_one():
    outcome = resolved(lambda query: [respond(query, rcode=SERVFAIL)])
    assert outcome.detail.endswith("with SERVFAIL, not NOERROR")


def test_a_refusal_without_the_question_is_one():
    outcome = resolved(lambda query: [respond(query, rcode=REFUSED, answers=(), qd=[])])
    assert (outcome.status, outcome.detail.split(" with ")[1]) == ("L7STS", "REFUSED, not NOERROR")


TWO = (DNSRR(rrname="www.example.org", type="CNAME", rdata="web.example.org"), ADDRESS)


@pytest.mark.parametrize(
    ("pattern", "status"),
    [
        (Pattern("10.0.2.11"), "L7OK"),
        (Pattern("web.example.org"), "L7OK"),
        (read_pattern(r"/^10\.0\.2\.[0-9]+$/"), "L7OK"),
        (Pattern("10.0.2.12"), "L7STS"),
        (read_pattern("/org.*10/"), "L7STS"),  # in no single record
    ],
)
def test_an_answer_that_is_named_must_be_in_a_record(pattern, status):
    assert resolved(lambda query: [respond(query, answers=TWO)], answer=pattern).status == status


def test_answers_without_the_one_named_are_listed():
    outcome = resolved(lambda query: [respond(query, answers=TWO)], answer=Pattern("10.9"))
    assert outcome.detail.endswith("with NOERROR, without '10.9' among its answers: 'web.example.org., 10.0.2.11'")


def test_no_answer_at_all_is_l7sts_where_one_is_named():
    outcome = resolved(lambda query: [respond(query, answers=())], answer=Pattern("10.9"))
    assert (outcome.status, outcome.detail[-7:]) == ("L7STS", "nothing")


def test_a_truncated_response_is_one():
    outcome = resolved(lambda query: [respond(query, answers=(), tc=1)])
    assert (outcome.status, outcome.detail.split(" with ")[1]) == ("L7OK", "NOERROR, truncated")


OTHERS = {
    "another id": lambda query: respond(query, id=query.id ^ 1),
    "another question": lambda query: respond(query, qd=[DNSQR(qname="mail.example.org", qtype="A")]),
    "another type": lambda query: respond(query, qd=[DNSQR(qname="www.example.org", qtype="AAAA")]),
    "a query": lambda query: respond(query, qr=0),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_message_about_something_else_is_waited_past(other):
    outcome = resolved(lambda query: [other(query), respond(query, rcode=SERVFAIL)])
    assert outcome.status == "L7STS"


def test_only_messages_about_something_else_are_silence():
    outcome = resolved(lambda query: [OTHERS["another id"](query)], response=0.1)
    assert (outcome.ok, outcome.status) == (False, "L7TOUT")


def test_a_flood_of_others_messages_does_not_stretch_response():
    def flood(wire: bytes):
        other = bytes(OTHERS["another id"](DNS(wire)))
        while True:
            yield other

    with answering(HOSTS[0], flood) as target:
        outcome = probed(ask("dns", target, query="www.example.org", record="A", response=0.2))
    assert outcome.status == "L7TOUT"
    assert outcome.duration_ms < 5000


@pytest.mark.parametrize("garbage", [b"", b"\x00" * 11, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 512])
def test_what_is_no_dns_message_is_l7rsp(garbage):
    outcome = resolved(lambda _: [garbage])
    assert (outcome.ok, outcome.status) == (False, "L7RSP")
    assert "with no DNS message: " in outcome.detail


def test_silence_is_l7tout():
    with bound(HOSTS[0], socket.SOCK_DGRAM) as silent:
        outcome = probed(ask("dns", target_of(silent), response=0.1))
    assert (outcome.ok, outcome.status) == (False, "L7TOUT")


def test_port_unreachable_is_l4con():
    with bound(HOSTS[0], socket.SOCK_DGRAM) as sock:
        target = target_of(sock)
    assert probed(ask("dns", target, response=30.0)).status == "L4CON"


QUERY = make_query("www.example.org", "A")
CHECK = Check(type="dns", query="www.example.org", record="A", answer=Pattern("10.0.2.11"))
GOOD = bytes(respond(DNS(QUERY.to_wire())))


def test_the_message_that_is_mangled_below_is_a_good_one():
    assert judge(CHECK, QUERY, GOOD).status == "L7OK"


@given(st.binary(max_size=600))
def test_no_datagram_is_an_accident(wire):
    verdict = judge(CHECK, QUERY, wire)
    assert verdict is None or verdict.ok is False


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.integers(0, len(GOOD)))
def test_no_mangled_response_is_an_accident(offset, byte, length):
    mangled = bytearray(GOOD)
    mangled[offset] = byte
    verdict = judge(CHECK, QUERY, bytes(mangled[:length]))
    assert verdict is None or verdict.status in ("L7OK", "L7RSP", "L7STS")
