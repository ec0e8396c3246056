"""One request and its reply at the four places where they can be seen: at the client and at the server, each way."""

from dataclasses import dataclass

from rich.text import Text

from swlb.config import Service
from swlb.lab import Lab
from swlb.lab.capture import Capture, Seen
from swlb.lab.requests import CLIENT, Surprise, address_of, expect, request, vip_of
from swlb.lab.voice import Cell, Voice

CHANGED = "bold yellow"


@dataclass(frozen=True)
class Places:
    """What was captured of one request over its own connection, and which server answered it."""

    server: str
    request_at_client: Seen
    request_at_server: Seen
    reply_at_server: Seen
    reply_at_client: Seen


def one_request(lab: Lab, say: Voice, *, ttl_step: int, because: str) -> None:
    """One request and its reply were captured, shown, and are as NAT makes them.

    `ttl_step` is by how much swlb lowers a TTL; `because` tells the reader why.
    """
    service = lab.config.services["web"]
    say.heading("One request and its reply, captured on both sides of swlb")
    places = _captured(lab, service)
    stations = _stations(lab)
    rows: list[list[Cell]] = [
        _row("request", CLIENT, places.request_at_client, None, stations),
        _row("request", places.server, places.request_at_server, places.request_at_client, stations),
        ["", "", "", ""],
        _row("reply", places.server, places.reply_at_server, None, stations),
        _row("reply", CLIENT, places.reply_at_client, places.reply_at_server, stations),
    ]
    say.table(("", "from", "to", "TTL"), rows)
    say(Text.assemble(("*", CHANGED), f" changed by swlb. {because}"))
    _expect_nat(places, service, ttl_step)


def _captured(lab: Lab, service: Service) -> Places:
    with Capture(lab.hosts[name] for name in (CLIENT, *service.servers)) as capture:
        (server,) = request(lab, service, 1)
        at_client, at_server = capture.seen(CLIENT), capture.seen(server)
    return Places(
        server,
        request_at_client=_first(at_client, b"GET ", CLIENT),
        request_at_server=_first(at_server, b"GET ", server),
        reply_at_server=_first(at_server, b"HTTP/1.1 200", server),
        reply_at_client=_first(at_client, b"HTTP/1.1 200", CLIENT),
    )


def _first(segments: list[Seen], beginning: bytes, host: str) -> Seen:
    found = [segment for segment in segments if segment.payload.startswith(beginning)]
    if not found:
        expected = f"a segment that begins with {beginning.decode()!r}"
        raise Surprise(f"captured at {host}", seen=f"{len(segments)} others", expected=expected)
    return found[0]


def _stations(lab: Lab) -> dict[str, str]:
    """Whose MAC it is, as `swlb show fdb` knows."""
    return {row["mac"]: "swlb" if row["static"] else row["port"] for row in lab.show("fdb")}


def _row(what: str, host: str, seen: Seen, before: Seen | None, stations: dict[str, str]) -> list[Cell]:
    """The place, and below each other address and MAC; what is not as it was `before` stands out."""

    def cell(address: str, was: str | None, mac: str, mac_was: str | None) -> Text:
        return Text("\n").join([_marked(address, was), _marked(mac, mac_was, stations.get(mac, ""), style="dim")])

    old = before or seen
    return [
        Text.assemble((what, "bold"), f"\nat {host}"),
        cell(seen.source, old.source, seen.mac_from, old.mac_from),
        cell(seen.destination, old.destination, seen.mac_to, old.mac_to),
        _marked(str(seen.ttl), str(old.ttl)),
    ]


def _marked(value: str, was: str | None, note: str = "", *, style: str = "") -> Text:
    changed = value != was
    shown = (f"{value}*", CHANGED) if changed else (f"{value} ", style)
    return Text.assemble(shown, (f" {note}" if note else "", style))


def _expect_nat(places: Places, service: Service, ttl_step: int) -> None:
    """The VIP has become the server's address on the way in and is back on the way out; the client is the client's."""
    server, vip, client = address_of(service, places.server), vip_of(service), places.request_at_client.source
    for what, seen, expected in (
        ("request at the client", places.request_at_client, (client, vip)),
        ("request at the server", places.request_at_server, (client, server)),
        ("reply at the server", places.reply_at_server, (server, client)),
        ("reply at the client", places.reply_at_client, (vip, client)),
    ):
        expect(f"addresses of the {what}", (seen.source, seen.destination), expected)
    expect("TTL of the request at the server", places.request_at_server.ttl, places.request_at_client.ttl - ttl_step)
    expect("TTL of the reply at the client", places.reply_at_client.ttl, places.reply_at_server.ttl - ttl_step)
