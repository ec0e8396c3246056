"""A service's scheduler in words: who gets the next session."""

from swlb.config.models import Service
from swlb.config.schedule_models import HASH_KEYS

SCHEDULERS = {
    "rr": "servers take turns, whatever their weight",
    "wrr": "servers take turns, as often as their weights say",
    "lc": "the server with the fewest sessions is next, whatever its weight",
    "wlc": "the server with the fewest sessions for its weight is next",
    "sed": "the server that will have the fewest established sessions for its weight is next",
    "nq": "the first server without established sessions is next, and without one, as sed",
    "hash": "the hash of {key} names the server, modulo the sum of weights",
    "maglev": "the hash of {key} names the server, by a table that changes little when servers do",
    "p2c": "of two servers drawn at random, by weight, the one with fewer sessions is next",
    "fo": "the server of the highest weight has all sessions",
    "overflow": "the server of the highest weight is next that has no more established sessions than its weight",
}
BY_TURNS = ("rr", "wrr")
BY_LOAD = ("lc", "wlc", "sed", "nq", "p2c", "overflow")


def scheduler_words(service: Service, workers: int) -> str:
    """What its scheduler does, where so many workers do it."""
    if service.has_own_scheduler:
        key = HASH_KEYS.get(service.hash_key)
        turns = f"they take turns as it says{_each('rr', workers)}"
        places = f"the hash of {key} names a place of it" if key else turns
        return f"a class of your own fills a table of servers, and {places}"
    words = SCHEDULERS[service.scheduler].format(key=HASH_KEYS.get(service.hash_key, ""))
    return words + _each(service.scheduler, workers)


def _each(scheduler: str, workers: int) -> str:
    """What workers do not share: few sessions over many of them are spread less evenly than one would think."""
    if workers == 1:
        return ""
    if scheduler in BY_LOAD:
        return f"; each of the {workers} workers counts those that it has itself"
    return f", each of the {workers} workers by itself" if scheduler in BY_TURNS else ""
