"""Servers are started again, one by one; no request fails.

Each server has a swlb.agent in it (rolling/server.py). When it is told to end, it says "drain" to swlb, which gives it
no new sessions, and ends once swlb has acted on that and the last of its connections is gone. Clients ask all the
time (rolling/load.py). At the end a server is killed without a word, for the difference.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from swlb.lab import Lab, environment
from swlb.lab.in_short import InShort
from swlb.lab.proof import one_request
from swlb.lab.requests import CLIENT, Surprise, expect, url_of
from swlb.lab.voice import Voice

DRAWING = """
     10.0.1.0/24                                               10.0.2.0/24
     fd00:1::/64                                               fd00:2::/64

                                                           ┌──────────────────┐
                                                       ┌───┤ web1   10.0.2.11 │
  ┌──────────────────┐     ┌───────────────────────┐   │   └──────────────────┘
  │ client 10.0.1.10 ├─────┤ .1      swlb       .1 ├───┤   ┌──────────────────┐
  └──────────────────┘     │                       │   ├───┤ web2   10.0.2.12 │
   gateway 10.0.1.1        │ VIP 10.0.1.100:80     │   │   └──────────────────┘
                           │     [fd00:1::100]:80  │   │   ┌──────────────────┐
                           └───────────────────────┘   └───┤ web3   10.0.2.13 │
                                                           └──────────────────┘
                                                            gateway 10.0.2.1
"""

CONFIGURATION = """
mode: routed
ports:
  client: {tap: eth0, netns: client}
  web1: {tap: eth0, netns: web1}
  web2: {tap: eth0, netns: web2}
  web3: {tap: eth0, netns: web3}
segments:
  outside: {ports: [client], addresses: [10.0.1.1/24, "fd00:1::1/64"]}
  inside: {ports: [web1, web2, web3], addresses: [10.0.2.1/24, "fd00:2::1/64"]}
checks:
  answers: {type: http, path: /healthz, status: 204, interval: 200ms, response: 200ms, dead_interval: 200ms, rise: 1}
  says: {type: agent, port: 9999, interval: 200ms, response: 200ms, dead_interval: 200ms}
services:
  web:
    vip: 10.0.1.100
    port: 80
    check: {all: [answers, says]}
    servers:
      web1: {address: 10.0.2.11, port: 8080}
      web2: {address: 10.0.2.12, port: 8080}
      web3: {address: 10.0.2.13, port: 8080}
  web6:
    vip: "fd00:1::100"
    port: 80
    check: {all: [answers, says]}
    servers:
      web1: {address: "fd00:2::11", port: 8080}
      web2: {address: "fd00:2::12", port: 8080}
      web3: {address: "fd00:2::13", port: 8080}
"""

EXPECTED = InShort(
    sends="client → VIP:80, TTL 64",
    sees="client → server:8080, TTL 63",
    gets="VIP:80 → client, TTL 63",
    passes="yes",
    needs="swlb as their gateway, 10.0.2.1",
)
BECAUSE = "As in the lab routed: what servers say changes who is asked, not how."

PROGRAMS = Path(__file__).with_suffix("")
SERVERS = ("web1", "web2", "web3")
STEADY_S = 0.5  # of load before and after each restart
PAUSE_S = 0.5  # after a server was killed
PATIENCE_S = 20.0  # for what takes a second or two


@dataclass(frozen=True)
class Answer:
    """What a request came to: when it began (monotonic), how long it took, and who answered, or "!" and a reason."""

    began: float
    ms: float
    who: str

    @property
    def failed(self) -> bool:
        return self.who.startswith("!")


@dataclass(frozen=True)
class Restart:
    """A server that was told to end, or made to, has ended, and is in use again; all moments are monotonic."""

    server: str
    began: float
    ended: float
    in_use: float


def build(lab: Lab) -> None:
    """All of the drawing is there, and every server is up."""
    lab.host(CLIENT, "10.0.1.10/24", "fd00:1::10/64", gateway=("10.0.1.1", "fd00:1::1"))
    for number, name in enumerate(SERVERS, 11):
        lab.host(name, f"10.0.2.{number}/24", f"fd00:2::{number}/64", gateway=("10.0.2.1", "fd00:2::1"))
        serve(lab, name)
    lab.switch(CONFIGURATION)
    lab.wait(lab.all_serve, "every server is up")


def run(lab: Lab, say: Voice) -> InShort:
    """Every server is restarted and nobody notices; one is killed, and somebody does; the walk of one request."""
    say.heading("Eight clients ask all the time, four of them over connections they keep")
    with load(lab) as answers:
        restarts = [restart(lab, say, name) for name in SERVERS]
    show(say, restarts, answers)
    say.paragraph(
        "A server's row is about the requests from the moment it was told to end until swlb used it again: it ended "
        "so long after it was told, and was back so long after that."
    )
    expect("requests that failed", [answer.who for answer in answers if answer.failed], [])
    say.heading("What web1 has said meanwhile")
    for line in lab.log_of(lab.hosts["web1"]).read_text().splitlines():
        say(line)
    say.heading(f"For the difference: web2 is killed, and started again {PAUSE_S:g} s later")
    with load(lab) as answers:
        killed = [restart(lab, say, "web2", kill=True)]
    show(say, killed, answers)
    if not any(answer.failed for answer in answers):
        raise Surprise("requests that failed", seen="none", expected="some, where a server dies without a word")
    return one_request(lab, say, EXPECTED, BECAUSE)


def serve(lab: Lab, name: str) -> None:
    """The server answers, and its agent says so."""
    host = lab.hosts[name]
    with lab.log_of(host).open("ab") as log:
        host.serve("server of one's own", sys.executable, PROGRAMS / "server.py", name, stderr=log, env=environment())


def restart(lab: Lab, say: Voice, name: str, *, kill: bool = False) -> Restart:
    """The server has ended, as it was told to or killed, was started again, and is in use."""
    time.sleep(STEADY_S)
    host = lab.hosts[name]
    old = host.server
    assert old is not None
    began = time.monotonic()
    with say.waiting(f"{name} is {'killed' if kill else 'told to end'} and started again"):
        old.kill() if kill else old.terminate()
        code = old.wait(PATIENCE_S)
        ended = time.monotonic()
        host.end(old)
        time.sleep(PAUSE_S if kill else 0.0)
        serve(lab, name)
        lab.wait(lambda: takes_sessions(lab, name), f"{name} is in use again", PATIENCE_S)
    in_use = time.monotonic()
    if not kill:
        expect(f"the exit code of {name}, 0 where it was drained in time", code, 0)
    time.sleep(STEADY_S)
    return Restart(name, began, ended, in_use)


def takes_sessions(lab: Lab, name: str) -> bool:
    """Whether swlb gives the server new sessions of every service."""
    return all(row["effective_weight"] for row in lab.show("servers") if row["server"] == name)


@contextmanager
def load(lab: Lab) -> Iterator[list[Answer]]:
    """Clients ask all the time within the block; after it what their requests came to is in the list."""
    client = lab.hosts[CLIENT]
    urls = [url_of(service) for service in lab.config.services.values()]
    answers: list[Answer] = []
    path = lab.log_of(client)
    with path.open("wb") as log:
        child = client.popen(sys.executable, "-I", PROGRAMS / "load.py", *urls, stdout=log, stderr=log)
        yield answers
        client.end(child)
    for line in path.read_text().splitlines():
        began, ms, who = line.split(maxsplit=2)
        answers.append(Answer(float(began), float(ms), who))


def show(say: Voice, restarts: list[Restart], answers: list[Answer]) -> None:
    """A row for each restart, about the requests from its beginning until its server was in use again; one for all."""
    rows = []
    for one in restarts:
        meanwhile = [answer for answer in answers if one.began <= answer.began < one.in_use]
        took = (f"{one.ended - one.began:.2f} s", f"{one.in_use - one.ended:.2f} s")
        rows.append([one.server, *figures(meanwhile), *took])
    rows.append(["in all", *figures(answers), "", ""])
    columns = ("", "requests", "failed", *SERVERS, "longest", "ended", "back")
    say.table(columns, rows, right=columns[1:])


def figures(answers: list[Answer]) -> list[str]:
    """How many requests there were, how many failed, how many each server answered, and the longest one's time."""
    by_server = Counter(answer.who for answer in answers)
    longest = max((answer.ms for answer in answers), default=0.0)
    failed = sum(answer.failed for answer in answers)
    return [str(len(answers)), str(failed), *(str(by_server[name]) for name in SERVERS), f"{longest:.0f} ms"]
