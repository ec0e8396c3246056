"""`one_packet`, `requests` and `responses` of a service: read, refused where they mean nothing, and explained."""

import pytest

from swlb.config import parse
from swlb.explain import explain
from tests.config_text import BASE, DIRECT, Case, changed, problems, problems_of

DNS = "port: 53, protocol: udp"


@pytest.mark.parametrize(("keys", "a_choice", "responses"), [
    ("", 0, None), ("one_packet: true", 1, None), ("one_packet: false", 0, None), ("requests: 3", 3, None),
    ("one_packet: true, requests: 1, responses: 2", 1, 2), ("requests: 65535, responses: 65535", 65535, 65535),
])  # fmt: skip
def test_they_are_read(keys: str, a_choice: int, responses: int | None) -> None:
    dns = parse(changed(DNS, f"{DNS}, {keys}", BASE), file="lab.yaml").services["dns"]
    assert (dns.datagrams_a_choice, dns.responses) == (a_choice, responses)


CASES = [
    Case("one packet of TCP", "port: 80\n", "port: 80\n    one_packet: true\n",
         "17: services.web.one_packet: found true with protocol tcp; expected the key left out, or protocol udp: "
         "a TCP connection stays with its server to its end"),
    Case("responses of TCP", "port: 80\n", "port: 80\n    responses: 1\n",
         "17: services.web.responses: found 1 with protocol tcp; expected the key left out, or protocol udp: "
         "a TCP connection stays with its server to its end"),
    Case("no request at all", DNS, DNS + ", requests: 0",
         "21: services.dns.requests: found 0; expected a whole number from 1 to 65535"),
    Case("responses in words", DNS, DNS + ", responses: one",
         '21: services.dns.responses: found "one"; expected a whole number from 1 to 65535'),
    Case("one packet a number", DNS, DNS + ", one_packet: 1",
         "21: services.dns.one_packet: found 1; expected true or false"),
    Case("one packet and several requests", DNS, DNS + ", one_packet: true, requests: 2",
         "21: services.dns.requests: found 2 beside one_packet, which is requests: 1; "
         "expected one of the two keys left out"),
    Case("persistence beside it", DNS, DNS + ", one_packet: true, persistence: {by: source}",
         "21: services.dns.persistence: found beside one_packet, by which a client's datagrams are scheduled anew; "
         "expected one of the two left out: with persistence all of them go to the server the client had"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_means_nothing_is_refused(case: Case) -> None:
    assert problems_of(case) == [case.problem]


@pytest.mark.parametrize("keys", ["requests: 1", "one_packet: true"])
def test_where_servers_answer_past_swlb_requests_are_counted_and_responses_are_not(keys: str) -> None:
    text = DIRECT.replace("forward: dsr\n", "forward: dsr\n    protocol: udp\n")
    assert problems(changed("protocol: udp\n", f"protocol: udp\n    {keys}\n", text)) == []
    assert problems(changed("protocol: udp\n", "protocol: udp\n    responses: 1\n", text)) == [
        "11: services.web.responses: found 1 with forward dsr; expected the key left out, because servers answer past "
        "swlb; or forward nat; or requests, which are seen"
    ]


@pytest.mark.parametrize(("keys", "sentence"), [
    ("one_packet: true", "datagrams: each one of a client is scheduled anew; replies of servers chosen before still "
     "reach the client, for 2m at least."),
    ("requests: 3", "datagrams: after 3 of a client the next is scheduled anew; replies of servers"),
    ("responses: 1", "datagrams: after 1 reply to each of a client's the next is scheduled anew, and the session is "
     "gone 10s later."),
])  # fmt: skip
def test_they_are_explained(keys: str, sentence: str) -> None:
    text = changed(DNS, f"{DNS}, {keys}", BASE)
    assert sentence in " ".join(explain(parse(text, file="lab.yaml")).split())
    assert "datagrams:" not in explain(parse(BASE, file="lab.yaml"))
