"""What must hold between the values of a configuration: devices, addresses and routes; and the list of all rules.

The others are in member_rules, mode_rules, service_rules, check_rules, forward_rules and source_rules. A rule that
finds something missing is only asked where the sections it relies on are sound: what was taken out of a draft must
not be missed a second time.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import combinations

from swlb.config.check_rules import (
    checks_ask_something,
    checks_know_their_port,
    checks_look_into_bodies_that_there_are,
    checks_use_the_authority_they_name,
    fail_open_has_a_check,
    fast_intervals_are_fast,
    probes_through_vips_are_few_enough,
    programs_can_be_run,
)
from swlb.config.datagram_rules import (
    datagrams_are_not_persistent,
    datagrams_are_of_udp,
    one_packet_is_one_request,
    responses_are_seen,
)
from swlb.config.forward_rules import (
    direct_servers_are_neighbours,
    mss_is_of_tcp,
    ports_are_kept_by_direct_services,
    tunnels_have_room,
    tunnels_say_which_gue,
)
from swlb.config.member_rules import (
    members_are_ports,
    ports_are_few_enough,
    ports_have_a_segment,
    ports_have_one_segment,
    segments_have_a_port_once,
    tun_segments_are_routed,
    tuns_have_no_vlans,
)
from swlb.config.mode_rules import mode_is_true, services_are_of_the_mode, some_reply_comes_back, topology_is_true
from swlb.config.models import Config
from swlb.config.passive_rules import (
    back_offs_grow,
    passive_has_a_check_to_ask,
    passive_has_evidence,
    passive_takes_out_on_sure_evidence,
)
from swlb.config.schedule_rules import hash_keys_are_hashed
from swlb.config.service_rules import (
    l4_ports_of_a_vip_are_served_once,
    server_addresses_are_their_own,
    servers_and_vips_share_families,
    servers_are_few_enough,
    servers_are_reachable,
    servers_differ,
    services_are_few_enough,
    vips_are_reachable,
    vips_are_their_own,
)
from swlb.config.source import Finding, Path, show
from swlb.config.source_rules import (
    masquerade_has_somebody,
    pools_are_swlbs_own,
    pools_are_used,
    pools_have_every_family,
    source_nat_is_of_nat,
    sources_are_few_enough,
)
from swlb.config.values import Interface, end_of_subnet

IPV6_MIN_MTU = 1280  # RFC 8200 section 5
ONE_KIND = "one of tap (a device swlb creates), packet (an interface that is there already) or tun"


def ports_have_one_device(config: Config) -> Iterator[Finding]:
    """Every port says in one way what it is."""
    for name, port in config.ports.items():
        if len(port.kinds) != 1:
            found = " and ".join(port.kinds) or "a port without a device"
            yield Finding(("ports", name), found, ONE_KIND)


def devices_differ(config: Config) -> Iterator[Finding]:
    """No two ports of one namespace have the same device."""
    first: dict[tuple[str | None, str], str] = {}
    for name, port in config.ports.items():
        for kind in port.kinds:
            device = (port.netns, getattr(port, kind))
            if device in first:
                found = f"{show(device[1])}, which port {first[device]} has in the same namespace"
                yield Finding(("ports", name, kind), found, "a device name of its own")
            first.setdefault(device, name)


def mtus_carry_ipv6(config: Config) -> Iterator[Finding]:
    """Ports of a segment with an IPv6 address have the MTU that IPv6 needs."""
    for name, segment in config.segments.items():
        if any(address.version == 6 for address in segment.addresses):
            for port in config.ports_of(segment):
                if port.mtu < IPV6_MIN_MTU:
                    why = f"at least {IPV6_MIN_MTU}, because segment {name} has an IPv6 address"
                    yield Finding(("ports", port.name, "mtu"), str(port.mtu), why)


def segment_addresses_differ(config: Config) -> Iterator[Finding]:
    """No address belongs to two segments, or twice to one."""
    first: dict[object, str] = {}
    for path, address in _addresses(config):
        if address.ip in first:
            yield Finding(path, f"{address.ip}, which segment {first[address.ip]} has already", "each address once")
        first.setdefault(address.ip, str(path[1]))


def subnets_do_not_overlap(config: Config) -> Iterator[Finding]:
    """An address is in the subnet of one segment at most."""
    for (_, one), (path, other) in combinations(_addresses(config), 2):
        if one.ip == other.ip or not one.network.overlaps(other.network):
            continue
        names = [name for name, segment in config.segments.items() if one in segment.addresses]
        if path[1] not in names:
            found = f"{other}, whose subnet overlaps {one.network} of segment {names[0]}"
            yield Finding(path, found, "subnets that do not overlap")


def routes_are_of_one_family(config: Config) -> Iterator[Finding]:
    """A route's prefix and router are both IPv4 or both IPv6."""
    for index, route in enumerate(config.routes):
        if route.to.version != route.via.version:
            expected = f"an IPv{route.to.version} address, because the route leads to {route.to}"
            yield Finding(("routes", index, "via"), str(route.via), expected)


def routes_differ(config: Config) -> Iterator[Finding]:
    """No prefix has two routes."""
    seen = set()
    for index, route in enumerate(config.routes):
        if route.to in seen:
            yield Finding(("routes", index, "to"), f"a second route to {route.to}", "each prefix once")
        seen.add(route.to)


def routers_are_neighbours(config: Config) -> Iterator[Finding]:
    """Every route leads over another station in a segment's subnet."""
    subnets = [address for _, address in _addresses(config)]
    for index, route in enumerate(config.routes):
        path: Path = ("routes", index, "via")
        if any(route.via == subnet.ip for subnet in subnets):
            yield Finding(path, f"{route.via}, which is swlb's own address", "the address of another router")
        elif any(end_of_subnet(route.via, subnet.network) for subnet in subnets if route.via in subnet.network):
            yield Finding(path, f"{route.via}, an end of its subnet", "the address of another router")
        elif not any(route.via in subnet.network for subnet in subnets):
            yield Finding(path, f"{route.via}, which is in no segment's subnet", "a router in a segment's subnet")


def namespaces_exist(config: Config, namespaces: Collection[str]) -> Iterator[Finding]:
    """Every port's namespace is one of those given."""
    for name, port in config.ports.items():
        if port.netns is not None and port.netns not in namespaces:
            expected = f"a network namespace that exists; make it with: ip netns add {port.netns}"
            yield Finding(("ports", name, "netns"), f"{show(port.netns)}, which does not exist", expected)


def _addresses(config: Config) -> Iterator[tuple[Path, Interface]]:
    for name, segment in config.segments.items():
        for index, address in enumerate(segment.addresses):
            yield ("segments", name, "addresses", index), address


@dataclass(frozen=True)
class Rule:
    """A rule, and the sections that must be sound for it to be asked."""

    findings: Callable[[Config], Iterator[Finding]]
    relies_on: tuple[str, ...] = ()


RULES = (
    Rule(members_are_ports, ("ports",)),
    Rule(ports_have_one_segment),
    Rule(ports_have_a_segment, ("segments",)),
    Rule(ports_are_few_enough),
    Rule(segments_have_a_port_once),
    Rule(tuns_have_no_vlans),
    Rule(ports_have_one_device, ("ports",)),
    Rule(devices_differ),
    Rule(tun_segments_are_routed, ("segments",)),
    Rule(mtus_carry_ipv6),
    Rule(segment_addresses_differ),
    Rule(subnets_do_not_overlap),
    Rule(routes_are_of_one_family),
    Rule(routes_differ),
    Rule(routers_are_neighbours, ("segments",)),
    Rule(mode_is_true, ("ports", "segments")),
    Rule(topology_is_true, ("ports", "segments")),
    Rule(services_are_of_the_mode),
    Rule(some_reply_comes_back, ("segments", "services")),
    Rule(masquerade_has_somebody, ("segments",)),
    Rule(vips_are_their_own),
    Rule(vips_are_reachable, ("segments", "routes")),
    Rule(l4_ports_of_a_vip_are_served_once),
    Rule(server_addresses_are_their_own),
    Rule(servers_are_reachable, ("segments", "routes")),
    Rule(servers_differ),
    Rule(servers_and_vips_share_families, ("services",)),
    Rule(servers_are_few_enough),
    Rule(services_are_few_enough),
    Rule(hash_keys_are_hashed, ("services",)),
    Rule(checks_know_their_port, ("services",)),
    Rule(checks_look_into_bodies_that_there_are),
    Rule(checks_ask_something, ("services",)),
    Rule(programs_can_be_run),
    Rule(fast_intervals_are_fast, ("services",)),
    Rule(fail_open_has_a_check, ("services",)),
    Rule(checks_use_the_authority_they_name),
    Rule(passive_has_evidence),
    Rule(passive_has_a_check_to_ask, ("services",)),
    Rule(passive_takes_out_on_sure_evidence),
    Rule(back_offs_grow),
    Rule(probes_through_vips_are_few_enough),
    Rule(ports_are_kept_by_direct_services, ("services",)),
    Rule(direct_servers_are_neighbours, ("segments", "routes")),
    Rule(tunnels_have_room),
    Rule(tunnels_say_which_gue),
    Rule(mss_is_of_tcp),
    Rule(datagrams_are_of_udp),
    Rule(one_packet_is_one_request),
    Rule(responses_are_seen),
    Rule(datagrams_are_not_persistent),
    Rule(source_nat_is_of_nat),
    Rule(pools_are_used),
    Rule(pools_are_swlbs_own),
    Rule(pools_have_every_family),
    Rule(sources_are_few_enough),
)


def broken_rules(config: Config, is_sound: Callable[[str], bool]) -> Iterator[Finding]:
    """What the rules find that can be asked."""
    for rule in RULES:
        if all(is_sound(section) for section in rule.relies_on):
            yield from rule.findings(config)
