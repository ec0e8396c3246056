"""Schedulers that somebody has written, for configurations of tests."""

from collections.abc import Sequence

from swlb.own_scheduler import ServerView


class First:
    """Everything is for the first server that takes sessions."""

    def table(self, servers: Sequence[ServerView]) -> list[str]:
        """The one name, or none."""
        return [server.name for server in servers if server.takes][:1]
