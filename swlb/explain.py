"""A good configuration in plain words: what `swlb check` prints."""

from collections.abc import Iterator
from ipaddress import IPv6Address

from swlb.asks import asks, hears_silence
from swlb.config.models import Check, Config, Limits, Server, Service
from swlb.config.source import counted
from swlb.config.values import ANY_PORT, Address, PortRange
from swlb.config.ways import is_one_arm, segment_towards
from swlb.datagrams import datagram_words
from swlb.durations import duration_text
from swlb.effect import WORDS, fates_of
from swlb.explain_segment import segment_words
from swlb.journey import journey
from swlb.paragraphs import INDENT, table, wrapped
from swlb.persistence import persistence_words
from swlb.scheduling import scheduler_words
from swlb.timing import bounds

NEEDS = {"all": "when all of them say so, and down when one says so", "any": "while any of them says so"}
REFUSALS = {
    ("reset", "tcp"): "is refused, by a TCP reset",
    ("reset", "udp"): "is refused, by ICMP port unreachable",
    ("unreachable", "tcp"): "is refused, by ICMP port unreachable",
    ("unreachable", "udp"): "is refused, by ICMP port unreachable",
    ("drop", "tcp"): "is left without an answer",
    ("drop", "udp"): "is left without an answer",
}
INITIAL = {
    "checking": "At the start nobody is served until the first probe of a server is decided.",
    "up": "At the start servers count as up.",
    "down": "At the start servers count as down.",
}


def explain(config: Config) -> str:
    """What swlb will do with the configuration, for people. No line is longer than 100 columns."""
    blocks = [wrapped(_summary(config))]
    blocks += [segment_words(config, segment) for segment in config.segments.values()]
    if config.routes:
        blocks.append(["routes", *table([(f"{route.to}", f"via {route.via}") for route in config.routes])])
    blocks += [_service(config, service) for service in config.services.values()]
    if idle := [name for name in config.checks if not _is_used(config, name)]:
        blocks.append(wrapped(f"checks that no service names: {', '.join(idle)}"))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _summary(config: Config) -> str:
    mode = f"mode {config.mode}, " if config.mode else ""
    topology = "one-arm" if is_one_arm(config) else "inline"
    counts = [
        counted(len(config.ports), "port"),
        counted(len(config.segments), "segment"),
        counted(len(config.services), "service"),
        counted(sum(len(service.servers) for service in config.services.values()), "server"),
    ]
    workers = f" {config.workers} workers, each a thread, share them by clients." if config.workers > 1 else ""
    limits = config.limits
    room = f"room for {limits.sessions} sessions."
    if limits.half_open_quota != Limits().half_open:
        room += f" At most {limits.half_open_quota} may be half open."
    if limits.sessions_per_source:
        room += f" One client address (IPv6: one /64) may have {limits.sessions_per_source} established."
    return f"{mode}{topology}: {', '.join(counts)}; {room}{workers}"


def _service(config: Config, service: Service) -> list[str]:
    vips = " and ".join(map(str, service.vips))
    lines = wrapped(f"service {service.name}: {vips}, {service.protocol} {_l4_ports(service.l4_ports)}")
    scheduler = f"scheduler {service.scheduler}: {scheduler_words(service, config.workers)}"
    lines += wrapped(f"forward {service.forward}, source_nat {service.source_nat}; {scheduler}", INDENT)
    lines += table([_server(server) for server in service.servers.values()])
    lines += [line for words in _life(service) for line in wrapped(words, INDENT)]
    lines += wrapped(persistence_words(service), INDENT)
    lines += wrapped(datagram_words(service), INDENT)
    for heading, words in journey(config, service):
        lines += wrapped(f"{heading}: {words}", INDENT)
    for words in _checks(service):
        lines += wrapped(words, INDENT)
    lines += wrapped(_fail_open(service), INDENT)
    lines += wrapped(_passive(service), INDENT)
    lines += wrapped(_under_way(config, service), INDENT)
    return lines + wrapped(_on_down(service), INDENT)


def _server(server: Server) -> tuple[str, ...]:
    about = [f"weight {server.weight}" if server.weight else "weight 0: takes no new session"]
    about += ["backup"] if server.backup else []
    if limit := server.max_connections:
        again = f" (full until it has fewer than {limit.lower})" if limit.lower < limit.upper else ""
        about.append(f"at most {counted(limit.upper, 'session')}{again}")
    return ("server", server.name, _at(server.address, server.port), ", ".join(about))


def _life(service: Service) -> Iterator[str]:
    """When servers take sessions that do not always, and what happens while none does."""
    if backups := [server.name for server in service.servers.values() if server.backup]:
        are = "is a backup: it takes" if len(backups) == 1 else "are backups: they take"
        yield f"{', '.join(backups)} {are} sessions only while no other server can."
    if service.slow_start:
        over = duration_text(service.slow_start)
        yield f"slow_start: what a server that comes back gets of new sessions grows for {over} to its whole share."
    nobody = "while no server takes sessions" if service.servers else "no server"
    yield f"{nobody}: every client {REFUSALS[service.refuse, service.protocol]}"


def _checks(service: Service) -> Iterator[str]:
    if not service.checks:
        yield "no check: servers always count as up."
    initials = {check.initial for check in service.checks}
    is_said_once = len(service.checks) > 1 and len(initials) == 1
    if len(service.checks) > 1:
        initial = f" {INITIAL[initials.pop()]}" if is_said_once else ""
        yield f"{len(service.checks)} checks: a server is up {NEEDS[service.need]}.{initial}"
    for check in service.checks:
        yield _check(service, check, initial="" if is_said_once else f" {INITIAL[check.initial]}")


def _is_used(config: Config, name: str) -> bool:
    return any(check.name == name for service in config.services.values() for check in service.checks)


def _check(service: Service, check: Check, *, initial: str) -> str:
    port = f" to port {check.port}" if check.port else ""
    if service.via(check) == "vip":
        vips = "both VIPs" if service.is_tunnel and len(service.vips) > 1 else "the VIP"
        port = f" through {vips}, port {service.vip_port(check)}, forced to each server,"
    name = f"{check.name} (shared by name): " if check.name else ""
    every = duration_text(check.interval)
    if check.fast_interval:
        every += f", while failing or coming back every {duration_text(check.fast_interval)}"
    return (
        f"check {name}{check.type}{port} every {every}, answered within {duration_text(check.response)}. "
        f"Down {_falls(check)}. While down every {duration_text(check.dead_interval)}; up again {_rises(check)}."
        f"{initial}{_steadied(check)} {asks(check)}"
    )


def _falls(check: Check) -> str:
    """When it takes a server out."""
    worst = duration_text(bounds(check, "silent").detect_worst)
    silent = "whose program does not end" if check.type == "exec" else "that falls silent"
    out = f": a server {silent} is out within {worst}" if hears_silence(check) else ""
    if check.retries == 1:
        return "once the agent says so" if check.type == "agent" else f"after the first failure{out}"
    began = f"{duration_text(check.timeout)} after the first failed probe began"
    return f"after {check.retries} failures in a row, or {began}, whichever comes first{out}"


def _rises(check: Check) -> str:
    """When it takes a server in again."""
    if check.rise == 1:
        return "once it says so" if check.type == "agent" else "after the first success"
    return f"after {check.rise} successes in a row"


def _steadied(check: Check) -> str:
    steadied = f" Each wait is up to {check.jitter:.0%} longer or shorter, at random." if check.jitter else ""
    if check.hold_down:
        apart = duration_text(check.hold_down)
        steadied += f" Changes are at least {apart} apart: one that falls due sooner is held until then."
    return steadied


def _fail_open(service: Service) -> str:
    if not service.fail_open:
        return ""
    has_backups = any(server.backup for server in service.servers.values())
    others, nor = (" other", " and no backup can stand in") if has_backups else ("", "")
    which = f"those{others} servers are up that are not drained and weigh something"
    few = f"fewer than {service.fail_open:.0%} of {which}{nor}"
    return f"fail_open: while {few}, health is ignored and all of them take sessions."


def _passive(service: Service) -> str:
    """What its own traffic may do to a server."""
    passive = service.passive
    if passive is None:
        return ""
    is_tcp = service.protocol == "tcp"
    failed = "not answered or refused" if is_tcp or passive.one_way else "refused"
    sessions = counted(passive.failures, "connection" if is_tcp else "session")
    evidence = f"{sessions} {failed} within {duration_text(passive.within)}"
    if passive.action == "probe":
        return f"passive: after {evidence}, and none answered meanwhile, the server is probed at once."
    return (
        f"passive: after {evidence}, and none answered meanwhile, the server is down for "
        f"{duration_text(passive.back_off)}; for twice as long each time it then fails again, "
        f"{duration_text(passive.back_off_max)} at most. The last server that is left stays."
    )


def _under_way(config: Config, service: Service) -> str:
    """What becomes of connections that swlb has never seen begin, where that is not the end of them."""
    if service.protocol != "tcp" or not service.hash_key or not service.servers or service.source_nat == "always":
        return ""
    ways = [segment_towards(config, server.address) for server in service.servers.values()]
    closed = service.forward != "nat" or all(way and way.access == "private" for way in ways)
    speaks = "when either end speaks" if closed else "when its client speaks (with access private: either end)"
    but = ", unless its source is rewritten" if service.source_nat == "auto" else ""
    return f"a connection that is under way and unknown, as after a restart, goes on {speaks}{but}."


def _on_down(service: Service) -> str:
    if not service.servers:
        return ""
    active, inactive = fates_of(service)
    if active == inactive:
        return f"when a server goes down, all of its sessions are {WORDS[active]}."
    return f"when a server goes down, its established sessions are {WORDS[active]}, closing ones {WORDS[inactive]}."


def _at(address: Address, port: int | None) -> str:
    if port is None:
        return f"{address}, the port the client used"
    return f"[{address}]:{port}" if isinstance(address, IPv6Address) else f"{address}:{port}"


def _l4_ports(ports: PortRange) -> str:
    if ports == ANY_PORT:
        return "any port"
    return f"port {ports.first}" if ports.first == ports.last else f"ports {ports.first}-{ports.last}"


