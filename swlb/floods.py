"""Floods of SYNs, as several workers tell of them: each is one flood, from the first that notices to the last."""


class Floods:
    """Which services are flooded, by how many workers, and what it came to. No I/O."""

    def __init__(self) -> None:
        self._workers: dict[str, int] = {}
        self._forwarded: dict[str, int] = {}

    def begin(self, service: str) -> bool:
        """A worker forwards SYNs of the service without sessions; True when it is the first."""
        self._workers[service] = self._workers.get(service, 0) + 1
        return self._workers[service] == 1

    def end(self, service: str, forwarded: int) -> int | None:
        """A worker does no more, and `forwarded` were; the sum of all workers when it was the last, else None."""
        self._forwarded[service] = self._forwarded.get(service, 0) + forwarded
        self._workers[service] = self._workers.get(service, 1) - 1
        if self._workers[service] > 0:
            return None
        del self._workers[service]
        return self._forwarded.pop(service)
