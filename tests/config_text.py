"""A good configuration, and what is wrong with it once a part of it is replaced."""

from typing import NamedTuple

from swlb.config import parse
from swlb.errors import ConfigError

BASE = """\
mode: routed
topology: inline
workers: 1
ports:
  client: {tap: swc0, netns: client}
  web1: {tap: sws1}
  web2: {tap: sws2}
segments:
  outside: {ports: [client], addresses: [10.0.1.1/24, "fd00:1::1/64"]}
  inside: {ports: [web1, web2], addresses: [10.0.2.1/24]}
routes:
  - {to: 10.0.9.0/24, via: 10.0.1.254}
services:
  web:
    vip: 10.0.1.100
    port: 80
    check: {type: tcp}
    servers:
      web1: {address: 10.0.2.11, port: 8080}
      web2: {address: 10.0.2.12, port: 8080}
  dns: {vip: 10.0.1.100, port: 53, protocol: udp}
"""

SWITCH = """\
ports: {a: {tap: swa}, b: {tap: swb}}
segments: {lan: {ports: [a, b]}}
"""

ONE_ARM = """\
mode: transparent
topology: one-arm
ports: {up: {tap: swu}}
segments: {lan: {ports: [up], addresses: [10.0.0.1/24, "fd00::1/64"]}}
routes: [{to: default, via: 10.0.0.254}]
services:
  web:
    vip: 10.0.0.100
    port: 80
    source_nat: auto
    servers: {web1: {address: 10.0.0.11, port: 8080}}
"""

DIRECT = """\
mode: dsr
ports: {client: {tap: swc}, web1: {tap: sw1}, web2: {tap: sw2}}
segments: {lan: {ports: [client, web1, web2], addresses: [10.0.0.1/24, "fd00::1/64"]}}
routes: [{to: 10.9.0.0/24, via: 10.0.0.254}]
services:
  web:
    vip: [10.0.0.100, "fd00::100"]
    port: 80
    forward: dsr
    servers: {web1: {address: 10.0.0.11}, web2: {address: "fd00::12"}}
  far:
    vip: 10.0.0.101
    port: 80
    forward: ipip
    servers: {far1: {address: 10.9.0.11}}
"""


class Case(NamedTuple):
    """The first `old` of a good text becomes `new`; exactly this is found then ("LINE: PATH: found X; expected Y")."""

    name: str
    old: str
    new: str
    problem: str


def changed(old: str, new: str, text: str = BASE) -> str:
    """The text with the first `old` replaced."""
    assert old in text
    return text.replace(old, new, 1)


def problems(text: str, **options: object) -> list[str]:
    """What is wrong with the text, each problem without the name of its file."""
    try:
        parse(text, file="lab.yaml", **options)
    except ConfigError as error:
        return [str(problem).removeprefix("lab.yaml:") for problem in error.problems]
    return []


def problems_of(case: Case, text: str = BASE) -> list[str]:
    """What is wrong once the case's change is made."""
    return problems(changed(case.old, case.new, text))
