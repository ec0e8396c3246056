"""What must hold between the stated mode and topology and what the ports, segments and services are."""

from collections.abc import Iterator

from swlb.config.models import Config
from swlb.config.source import Finding, counted, show
from swlb.config.ways import is_one_arm

LISTED = 6  # segments in a message


def mode_is_true(config: Config) -> Iterator[Finding]:
    """The stated mode is what the ports and segments are."""
    if config.mode == "transparent":
        yield from _transparent(config)
    if config.mode == "routed":
        yield from _routed(config)


def _transparent(config: Config) -> Iterator[Finding]:
    segments = config.segments.values()
    if config.topology != "one-arm" and all(len(segment.ports) < 2 for segment in segments):
        expected = "a segment with two or more ports, or topology one-arm"
        yield Finding(("mode",), "transparent without a segment of two ports", expected)
    addressed = [segment.name for segment in segments if segment.addresses]
    if len(addressed) > 1:
        found = f"transparent with addresses on {len(addressed)} segments: {', '.join(addressed[:LISTED])}"
        expected = "addresses and VIPs on one segment, or mode routed"
        yield Finding(("mode",), found + (" ..." if len(addressed) > LISTED else ""), expected)


def _routed(config: Config) -> Iterator[Finding]:
    n_addressed = sum(bool(segment.addresses) for segment in config.segments.values())
    if config.topology == "one-arm":
        if not n_addressed:
            yield Finding(("mode",), "routed without a segment that has an address", "a segment with an address")
    elif n_addressed < 2:
        found = "routed with fewer than two segments that have an address"
        yield Finding(("mode",), found, "two or more segments with an address each, or topology one-arm")


def topology_is_true(config: Config) -> Iterator[Finding]:
    """The stated topology is what the ports are: one-arm is one port, inline more."""
    if config.topology == "one-arm" and not (is_one_arm(config) and len(config.segments) == 1):
        found = f"one-arm with {counted(len(config.ports), 'port')} in {counted(len(config.segments), 'segment')}"
        yield Finding(("topology",), found, "exactly one segment with one port, or topology inline")
    if config.topology == "inline" and is_one_arm(config):
        yield Finding(("topology",), "inline with one port", "two or more ports, or topology one-arm")


def services_are_of_the_mode(config: Config) -> Iterator[Finding]:
    """In mode dsr every service's servers answer their clients directly."""
    for service in config.services.values() if config.mode == "dsr" else ():
        if not service.is_direct:
            expected = "dsr, ipip or gue, because the mode is dsr"
            yield Finding(("services", service.name, "forward"), show(service.forward), expected)


def some_reply_comes_back(config: Config) -> Iterator[Finding]:
    """Not every reply of a service passes swlb by: beside a switch, and not the servers' gateway, it would see none."""
    if config.mode != "transparent" or not is_one_arm(config):
        return
    for service in config.services.values():
        if not service.is_direct and service.source_nat == "never":
            found = "never, with one port and mode transparent: no reply can pass swlb, so no client is ever answered"
            expected = "source_nat auto or always, forward dsr, or mode routed with swlb as the servers' gateway"
            yield Finding(("services", service.name, "source_nat"), found, expected)
