"""What must hold where sessions end by counting datagrams: `one_packet`, `requests` and `responses`."""

from collections.abc import Iterator

from swlb.config.models import Config
from swlb.config.service_models import Service
from swlb.config.source import Finding

KEYS = ("one_packet", "requests", "responses")


def datagrams_are_of_udp(config: Config) -> Iterator[Finding]:
    """Only UDP comes in datagrams: a TCP connection belongs to its server until it is closed."""
    for service in config.services.values():
        if service.protocol != "udp":
            for key in _given(service):
                expected = "the key left out, or protocol udp: a TCP connection stays with its server to its end"
                yield Finding(("services", service.name, key), f"{_value(service, key)} with protocol tcp", expected)


def one_packet_is_one_request(config: Config) -> Iterator[Finding]:
    """`one_packet: true` is `requests: 1` in a word, and says nothing else beside it."""
    for service in config.services.values():
        if service.one_packet and service.requests not in (None, 1):
            found = f"{service.requests} beside one_packet, which is requests: 1"
            yield Finding(("services", service.name, "requests"), found, "one of the two keys left out")


def responses_are_seen(config: Config) -> Iterator[Finding]:
    """What does not pass swlb cannot be counted."""
    for service in config.services.values():
        if service.responses and service.is_direct:
            found = f"{service.responses} with forward {service.forward}"
            expected = "the key left out, because servers answer past swlb; or forward nat; or requests, which are seen"
            yield Finding(("services", service.name, "responses"), found, expected)


def datagrams_are_not_persistent(config: Config) -> Iterator[Finding]:
    """Who always comes back to one server is not scheduled anew."""
    for service in config.services.values():
        if service.persistence and (keys := _given(service)):
            found = f"beside {keys[0]}, by which a client's datagrams are scheduled anew"
            expected = "one of the two left out: with persistence all of them go to the server the client had"
            yield Finding(("services", service.name, "persistence"), found, expected)


def _given(service: Service) -> list[str]:
    return [key for key in KEYS if getattr(service, key)]


def _value(service: Service, key: str) -> str:
    value = getattr(service, key)
    return "true" if value is True else str(value)
