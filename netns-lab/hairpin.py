"""A server calls its own VIP, and is chosen itself.

A server is a client, too, of the service it belongs to. Where swlb leaves its address in the request and sends it
back to where it came from, the server gets a packet from itself, by a cable, and its kernel throws it away. With
`source_nat: auto`, which is what holds without a word, swlb rewrites the source of exactly these requests.
"""

from swlb.errors import SwlbError
from swlb.lab import Lab
from swlb.lab.in_short import InShort
from swlb.lab.proof import in_vain, one_request, served
from swlb.lab.requests import expect, request, url_of
from swlb.lab.voice import Voice

DRAWING = """
                  one network: 10.0.3.0/24, fd00:3::/64; web1 calls the VIP

                                                        ┌──────────────────┐
                           ┌───────────────────────┐  ┌─┤ web1   10.0.3.11 │
  ┌──────────────────┐     │ .1      swlb          │  │ └──────────────────┘
  │ client 10.0.3.10 ├─────┤ VIP 10.0.3.100:80     ├──┤ ┌──────────────────┐
  └──────────────────┘     │     [fd00:3::100]:80  │  └─┤ web2   10.0.3.12 │
                           └───────────────────────┘    └──────────────────┘
"""

CONFIGURATION = """
mode: transparent
ports:
  client: {tap: eth0, netns: client}
  web1: {tap: eth0, netns: web1}
  web2: {tap: eth0, netns: web2}
segments:
  lan: {ports: [client, web1, web2], addresses: [10.0.3.1/24, "fd00:3::1/64"]}
services:
  web:
    vip: 10.0.3.100
    port: 80
    source_nat: never
    check: {type: tcp, interval: 500ms, response: 500ms, retries: 3, dead_interval: 500ms, rise: 2}
    servers:
      web1: {address: 10.0.3.11, port: 8080}
      web2: {address: 10.0.3.12, port: 8080}
  web6:
    vip: "fd00:3::100"
    port: 80
    source_nat: never
    check: {type: tcp, interval: 500ms, response: 500ms, retries: 3, dead_interval: 500ms, rise: 2}
    servers:
      web1: {address: "fd00:3::11", port: 8080}
      web2: {address: "fd00:3::12", port: 8080}
"""
CURED = CONFIGURATION.replace("source_nat: never", "source_nat: auto")

EXPECTED_BROKEN = InShort(
    sends="server → VIP:80, TTL 64",
    sees="server → server:8080, TTL 64",
    gets="nothing",
    passes="no",
    needs="no setting",
)
EXPECTED = InShort(
    sends="server → VIP:80, TTL 64",
    sees="swlb → server:8080, TTL 64",
    gets="VIP:80 → server, TTL 64",
    passes="yes",
    needs="no setting",
)
BECAUSE_BROKEN = "web1 gets a packet from its own address by its device, and drops it."
BECAUSE = "swlb asks in its own name where the server would answer itself."
CALLER = "web1"


def build(lab: Lab) -> None:
    """All of the drawing is there, every server is up, and none can call itself."""
    lab.host("client", "10.0.3.10/24", "fd00:3::10/64")
    for number in (11, 12):
        web = lab.host(f"web{number - 10}", f"10.0.3.{number}/24", f"fd00:3::{number}/64")
        web.http(8080)
    lab.switch(CONFIGURATION)
    lab.wait(lab.all_serve, "every server is up")


def run(lab: Lab, say: Voice) -> InShort:
    """web1 asks in vain where it is chosen itself, and is answered by both once its source is rewritten."""
    in_vain(lab, say, EXPECTED_BROKEN, BECAUSE_BROKEN, caller=CALLER)
    say.heading("web1's kernel, asked what it does with a packet from itself, and from web2")
    expect("whether web1 takes a packet from itself", takes_from("10.0.3.11", lab, say), False)
    expect("whether web1 takes a packet from web2", takes_from("10.0.3.12", lab, say), True)
    say.heading("The next request goes to web2, which has no such trouble")
    answered = request(lab, url_of(lab.config.services["web"]), 1, caller=CALLER)
    say(f"answered: {', '.join(answered)}")
    expect("who answered web1's second request", answered, {"web2": 1})
    say.heading("The way out, which is the default: source_nat: auto")
    with say.waiting("swlb is started again with it"):
        lab.switch(CURED)
        lab.wait(lab.all_serve, "every server is up")
    served(lab, say, caller=CALLER)
    return one_request(lab, say, EXPECTED, BECAUSE, caller=CALLER)


def takes_from(source: str, lab: Lab, say: Voice) -> bool:
    """Whether web1's kernel takes a packet that comes from there by its device; it is shown what it says."""
    question = f"ip route get 10.0.3.11 from {source} iif eth0"
    try:
        answer = lab.hosts[CALLER].run(*question.split()).stdout.partition("\n")[0]
    except SwlbError as error:
        answer = str(error).rpartition("; ")[2]
    say(f"{question}   {answer}")
    return answer.startswith("local ")
