"""What labs prove before one's eyes: equal shares, the walk of one request, fail-over, IPv6.

The lab has a service `web`, and maybe others for IPv6, with the same servers. A Surprise ends it where something comes
out otherwise than expected.
"""

import time
from typing import Any

from rich.text import Text

from swlb.config import Check, Service
from swlb.durations import duration_text
from swlb.lab import Lab
from swlb.lab.in_short import InShort, expect_in_short, in_short
from swlb.lab.requests import (
    CLIENT,
    Surprise,
    address_of,
    equal_shares,
    expect,
    l4_port_of,
    request,
    sessions_total,
    url_of,
)
from swlb.lab.voice import Voice
from swlb.lab.walk import show_walk, walk_of_attempt, walk_of_request
from swlb.timing import bounds

REQUESTS = 300
REQUESTS_WHILE_OUT = 60
REQUESTS_AFTERWARDS = 30
REQUESTS_IN_SHORT = 30
FIGURES_S = 5.0  # swlb's figures lag by 100 ms; a busy machine may take longer
PATIENCE_S = 15.0  # for what takes a second or two
IN_VAIN_S = 2.5  # Linux sends a SYN again after 1 s, and swlb's event comes with that
BAR_PER = 5  # requests

NUMBER = "bold"
GOOD = "green"


def prove(lab: Lab, say: Voice, expected: InShort, because: str) -> InShort:
    """All parts, one after the other; the walk in short, which is as expected. `because` explains its changes."""
    shares(lab, say)
    short = one_request(lab, say, expected, because)
    fail_over(lab, say)
    ipv6(lab, say)
    return short


def prove_in_short(lab: Lab, say: Voice, expected: InShort, because: str) -> InShort:
    """Equal shares and the walk; the walk in short, which is as expected."""
    served(lab, say)
    return one_request(lab, say, expected, because)


def one_request(lab: Lab, say: Voice, expected: InShort, because: str, *, caller: str = CLIENT) -> InShort:
    """The walk of one request of the caller and its reply, shown; in short, it is as expected."""
    say.heading("One request and its reply, captured wherever they passed")
    walk = walk_of_request(lab, caller)
    show_walk(say, walk, because)
    return expect_in_short(in_short(lab, walk), expected)


def in_vain(lab: Lab, say: Voice, expected: InShort, because: str, *, caller: str = CLIENT) -> InShort:
    """The walk of a request that nobody answers, and what swlb says of it; in short, it is as expected."""
    say.heading(f"{caller} asks, and gets no answer within {IN_VAIN_S:g} s")
    moment = time.time()
    walk = walk_of_attempt(lab, caller, patience_s=IN_VAIN_S)
    show_walk(say, walk, because)
    event = lab.wait(lambda: _find(lab, "reply_bypasses", since=moment), "swlb has noticed it", PATIENCE_S)
    assert event is not None
    say()
    say.paragraph(f"swlb has noticed, in `swlb show events`: {event['kind']}: {event['text']}")
    return expect_in_short(in_short(lab, walk), expected)


def served(lab: Lab, say: Voice, *, caller: str = CLIENT) -> None:
    """Requests to every VIP are answered by every server as often as by the others."""
    say.heading(f"Requests of {caller}, each over a connection of its own")
    for service in lab.config.services.values():
        for vip in service.vips:
            url = url_of(service, vip)
            answered = request(lab, url, REQUESTS_IN_SHORT, caller=caller)
            _tell_and_expect(say, service, answered, REQUESTS_IN_SHORT, list(service.servers), f"to {url}")


def shares(lab: Lab, say: Voice) -> None:
    """Every server has answered the same number of requests, as the client and as swlb count them."""
    service = lab.config.services["web"]
    say.heading(f"{REQUESTS} requests to {url_of(service)}, each over a connection of its own")
    before = sessions_total(lab, service)
    answered = _count(lab, say, service, REQUESTS)

    def counted() -> dict[str, int]:
        return {name: total - before[name] for name, total in sessions_total(lab, service).items()}

    lab.wait(lambda: sum(counted().values()) >= REQUESTS, f"swlb has counted {REQUESTS} sessions", FIGURES_S)
    totals = counted()
    rows = [_share(service, name, answered.get(name, 0), totals[name]) for name in service.servers]
    say.table(("server", "address", "answered", "", "sessions_total"), rows, right=("answered", "sessions_total"))
    expected = equal_shares(list(service.servers), REQUESTS)
    expect("answers by server", answered, expected)
    expect("sessions_total by server, of `swlb show servers`", totals, expected)


def fail_over(lab: Lab, say: Voice) -> None:
    """A server whose program ended was taken out in time; nobody noticed; it came back to its share."""
    service = lab.config.services["web"]
    (check,) = service.checks
    name = list(service.servers)[1]
    host = lab.hosts[name]
    assert host.server is not None, "Host.http comes first"
    say.heading(f"{name} fails: its HTTP server is stopped")
    moment = time.time()
    host.end(host.server)
    with say.waiting(f"waiting until swlb takes {name} out"):
        took = _event(lab, "server_down", service, name, since=moment) - moment
    bound = bounds(check, "silent").detect_worst
    say(Text.assemble("out after ", (f"{took:.2f} s", NUMBER), f"; at most {bound:.2f} s: {_rule(check)}"))
    if took > bound:
        raise Surprise(f"how long until {name} was out", seen=f"{took:.2f} s", expected=f"at most {bound:.2f} s")
    others = [other for other in service.servers if other != name]
    _count_and_expect(lab, say, service, REQUESTS_WHILE_OUT, others, "while it is out")
    _come_back(lab, say, service, name)


def ipv6(lab: Lab, say: Voice) -> None:
    """The same over IPv6, in short."""
    service = lab.config.services["web6"]
    say.heading(f"The same over IPv6, {url_of(service)}")
    _count_and_expect(lab, say, service, REQUESTS_IN_SHORT, list(service.servers), "over IPv6")


def _come_back(lab: Lab, say: Voice, service: Service, name: str) -> None:
    moment = time.time()
    lab.hosts[name].http(l4_port_of(service, name))
    with say.waiting(f"it is started again; waiting until swlb uses {name}"):
        took = _event(lab, "server_up", service, name, since=moment) - moment
        lab.wait(lab.all_serve, "every server is up", PATIENCE_S)
    say(Text.assemble("started again, in use after ", (f"{took:.2f} s", NUMBER)))
    _count_and_expect(lab, say, service, REQUESTS_AFTERWARDS, list(service.servers), "after that")


def _count(lab: Lab, say: Voice, service: Service, count: int) -> dict[str, int]:
    with say.counting(count, "requests") as one_more:
        return request(lab, url_of(service), count, one_more)


def _count_and_expect(lab: Lab, say: Voice, service: Service, count: int, names: list[str], when: str) -> None:
    """The requests were answered by those servers, and by each as often as by the others."""
    _tell_and_expect(say, service, _count(lab, say, service, count), count, names, when)


def _tell_and_expect(
    say: Voice, service: Service, answered: dict[str, int], count: int, names: list[str], what: str
) -> None:
    tally = "  ".join(f"{name} {answered.get(name, 0)}" for name in service.servers)
    say(Text.assemble((f"{sum(answered.values())} of {count}", NUMBER), f" requests {what} answered: ", (tally, GOOD)))
    expect(f"answers {what}", answered, equal_shares(names, count))


def _event(lab: Lab, kind: str, service: Service, server: str, *, since: float) -> float:
    """When it happened, in Unix seconds; waited for."""
    what = f"{server} is {kind.removeprefix('server_')}"
    event = lab.wait(lambda: _find(lab, kind, since=since, service=service.name, server=server), what, PATIENCE_S)
    assert event is not None
    return event["time"]


def _find(lab: Lab, kind: str, *, since: float, **fields: str) -> dict[str, Any] | None:
    """The first event of the kind with those fields since then."""
    wanted = {"kind": kind, **fields}
    return next((row for row in lab.show("events") if row["time"] >= since and wanted.items() <= row.items()), None)


def _rule(check: Check) -> str:
    return f"{check.retries} failed checks in a row, one every {duration_text(check.interval)}"


def _share(service: Service, name: str, answered: int, counted: int) -> tuple[str | Text, ...]:
    return (name, address_of(service, name), str(answered), Text("█" * (answered // BAR_PER), GOOD), str(counted))
