"""The table of kinds of checks and sicknesses: what swlb is to say of a server, and whether the server then serves."""

from dataclasses import dataclass
from typing import Any

NAME = "sick.test"  # in certificates, and asked for by DNS

CHECKS: dict[str, dict[str, Any]] = {
    "tcp": {"type": "tcp"},
    "icmp": {"type": "icmp"},
    "http": {"type": "http", "path": "/healthz"},
    "content": {"type": "http", "content": "ok"},
    "https": {"type": "https", "server_name": NAME, "content": "ok"},
    "tls": {"type": "tls", "server_name": NAME},
    "udp": {"type": "udp", "send": "ping", "expect": "pong"},
    "dns": {"type": "dns", "query": NAME, "record": "A", "answer": "192.0.2.1"},
    "script": {"type": "script", "steps": [{"expect": "220"}, {"send": "PING\r\n"}, {"expect": "+PONG"}]},
    "exec": {"type": "exec"},
    "agent": {"type": "agent"},
}
SPOKEN_BY = {"content": "http"}  # the kind of the server, where it is not the check's
WELL = {"tcp": "L4OK", "icmp": "L3OK", "tls": "L6OK", "exec": "PROCOK"}  # all others: L7OK
OVER_UDP = ("udp", "dns")


@dataclass(frozen=True)
class Row:
    """A check of that kind says this of a server with the sickness, and the server is then in that state."""

    kind: str
    sickness: str
    verdict: str
    state: str = "down"

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.sickness}"

    @property
    def when_well(self) -> tuple[str, str]:
        """The last probe's verdict, and the operational state."""
        return (WELL.get(self.kind, "L7OK"), "up")

    @property
    def when_ill(self) -> tuple[str, str]:
        return (self.verdict, self.state)


ROWS = (
    Row("tcp", "refusing", "L4CON"),
    Row("tcp", "silent", "L4TOUT"),
    Row("tcp", "gone", "L2TOUT"),
    Row("tcp", "half-dead", "L4OK", "up"),  # a handshake is all it asks for
    Row("icmp", "silent", "L3TOUT"),
    Row("icmp", "gone", "L2TOUT"),
    Row("http", "refusing", "L4CON"),
    Row("http", "silent", "L4TOUT"),
    Row("http", "gone", "L2TOUT"),
    Row("http", "half-dead", "L7TOUT"),
    Row("http", "slow", "L7TOUT"),
    Row("http", "closing", "L7RSP"),
    Row("http", "garbage", "L7RSP"),
    Row("http", "wrong-status", "L7STS"),
    Row("http", "wrong-content", "L7OK", "up"),  # it asks for a status alone
    Row("content", "wrong-content", "L7STS"),
    Row("https", "refusing", "L4CON"),
    Row("https", "silent", "L4TOUT"),
    Row("https", "gone", "L2TOUT"),
    Row("https", "half-dead", "L6TOUT"),
    Row("https", "slow", "L7TOUT"),
    Row("https", "garbage", "L6RSP"),
    Row("https", "expired", "L6RSP"),
    Row("https", "wrong-status", "L7STS"),
    Row("https", "wrong-content", "L7STS"),
    Row("tls", "refusing", "L4CON"),
    Row("tls", "silent", "L4TOUT"),
    Row("tls", "gone", "L2TOUT"),
    Row("tls", "half-dead", "L6TOUT"),
    Row("tls", "garbage", "L6RSP"),
    Row("tls", "expired", "L6RSP"),
    Row("udp", "refusing", "L4CON"),
    Row("udp", "silent", "L7TOUT"),
    Row("udp", "gone", "L2TOUT"),
    Row("udp", "slow", "L7TOUT"),
    Row("udp", "wrong-content", "L7RSP"),
    Row("dns", "refusing", "L4CON"),
    Row("dns", "silent", "L7TOUT"),
    Row("dns", "gone", "L2TOUT"),
    Row("dns", "slow", "L7TOUT"),
    Row("dns", "garbage", "L7RSP"),
    Row("dns", "wrong-status", "L7STS"),
    Row("dns", "wrong-content", "L7STS"),
    Row("script", "refusing", "L4CON"),
    Row("script", "silent", "L4TOUT"),
    Row("script", "gone", "L2TOUT"),
    Row("script", "half-dead", "L7TOUT"),
    Row("script", "closing", "L7RSP"),
    Row("script", "wrong-content", "L7TOUT"),  # it waits for what never comes
    Row("exec", "wrong-status", "PROCERR"),
    Row("exec", "half-dead", "PROCTOUT"),
    # An agent that is not there says nothing: the server stays what it was.
    Row("agent", "wrong-status", "L7STS"),
    Row("agent", "refusing", "L4CON", "up"),
    Row("agent", "silent", "L4TOUT", "up"),
    Row("agent", "half-dead", "L7TOUT", "up"),
    Row("agent", "garbage", "L7RSP", "up"),
)
HERE = [row for row in ROWS if row.sickness != "gone"]
