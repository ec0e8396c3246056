"""Reload: a running swlb goes over to another configuration, and nothing that stays notices.

Everything is read, checked, opened and built before anything changes; whatever fails until then is undone and leaves
swlb as it was. Reading and opening is done in a thread of its own; the rest is one step of the event loop, so that
nobody sees half of it.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from swlb.balancer import Balancer
from swlb.build import Built, build, take_over
from swlb.changes import changes
from swlb.config import Config, load
from swlb.errors import ConfigError, SwlbError
from swlb.events import Events
from swlb.persistence import is_outdated
from swlb.ports import Ports
from swlb.prepared import Prepared
from swlb.succession import Informed, inform, up_in
from swlb.surroundings import check_surroundings, kernel_ports
from swlb.ways_out import ways_out

log = logging.getLogger("swlb")


class Running(Protocol):
    """What is changed: an App."""

    config: Config
    built: Built
    balancer: Balancer
    ports: Ports
    events: Events

    def hear(self) -> None:
        """What the workers have to tell has been heard."""


class Reloading:
    """Reloads of one running swlb, one after the other."""

    def __init__(self, app: Running, file: Path, *, ring: bool = True) -> None:
        """`file` is what swlb was started with; with `ring` its workers use io_uring if the kernel lets them."""
        self.file = file
        self._app = app
        self._ring = ring
        self._one_at_a_time = asyncio.Lock()
        self._ended = False

    async def end(self) -> None:
        """Nothing is changed any more; one that had begun is over."""
        self._ended = True
        async with self._one_at_a_time:
            pass

    async def at(self, asked: asyncio.Event) -> None:
        """Whenever it is asked for, the last file is read again; for ever, whatever comes of it."""
        while True:
            await asked.wait()
            asked.clear()
            log.info("SIGHUP: reading %s", self.file)
            try:
                await self.reload(None)
            except SwlbError:
                pass  # it has been told
            except Exception:
                log.exception("the reload failed in itself")

    async def reload(self, file: Path | None) -> str:
        """The configuration of the file, by default of the last one, is in force; what that has changed, in words.

        Raises SwlbError when that cannot be; nothing has changed then.
        """
        async with self._one_at_a_time:
            if self._ended:
                raise SwlbError("swlb is ending")
            file = self.file if file is None else file
            try:
                config = await asyncio.to_thread(load, file, running=self._app.config)
                text = await self._go_over(config)
            except SwlbError as error:
                self._refuse(file, error)
                raise
            self.file = file
            self._app.events.add("config_loaded", f"{file}: {text}", file=str(file))
            return text

    def _refuse(self, file: Path, error: SwlbError) -> None:
        problems = [str(problem) for problem in error.problems] if isinstance(error, ConfigError) else [str(error)]
        text = f"{file}: nothing has changed: {'; '.join(problems)}"
        self._app.events.add("config_refused", text, file=str(file), problems=problems)

    async def _go_over(self, config: Config) -> str:
        """The configuration is in force; what has changed, in words."""
        app = self._app
        # repr tells their orders, too, which == does not. A device that was lost is to be opened anew.
        is_same = config == app.config and repr(config) == repr(app.config)
        if is_same and all(port.state.present for port in app.ports.opened.values()):
            return "nothing is different"
        with await asyncio.to_thread(self._prepared, config) as prepared:
            app.hear()  # while names are what they were
            told = changes(app.config, config).sentence()
            before = app.config
            with _room():
                built, informed = self._taken_over(config, prepared)
            with _no_way_back():
                app.config, app.built = config, built
                _forget_clients(before, app)
                prepared.commit(app.built, app.events)
                meant = app.balancer.reconfigure(config, app.built, ways_out(config, app.ports), informed)
            await asyncio.to_thread(prepared.close)
        return told + "".join(meant)

    def _taken_over(self, config: Config, prepared: Prepared) -> tuple[Built, Informed]:
        """The workers have what the configuration says; what they know of servers that stay."""
        app = self._app
        image = build(
            config,
            prepared.devices(),
            up_at_start=up_in(app.balancer.servers, config),
            kernel_ports=kernel_ports(),
            ring=self._ring,
            macs=prepared.macs,
            previous=app.built,
        )
        informed = inform(image, app.balancer.servers, config)
        return take_over(app.built, image), informed

    def _prepared(self, config: Config) -> Prepared:
        """The devices of the configuration are open."""
        for sentence in check_surroundings(config, twins=self._app.ports.twins()):
            log.warning("%s", sentence)
        return self._app.ports.prepare(config)


def _forget_clients(before: Config, app: Running) -> None:
    """Nobody comes back to a server by what a service's persistence meant before."""
    for name, service in app.config.services.items():
        if name in before.services and is_outdated(before.services[name], service):
            app.built.persists.forget(service=app.built.services[name])


@contextmanager
def _room() -> Iterator[None]:
    """Within the block it is an SwlbError that there is no memory, or no room while sessions need what leaves."""
    try:
        yield
    except MemoryError:
        advice = "a reload has what was and what comes beside each other: free some, or make the configuration smaller"
        raise SwlbError(f"there is no memory for the workers to take it over; {advice}") from None
    except ValueError as error:
        advice = "reload in two steps, or once sessions with what leaves have ended"
        raise SwlbError(f"the workers cannot take it over: {error}; {advice}") from error


@contextmanager
def _no_way_back() -> Iterator[None]:
    """Within the block whatever fails is a mistake of swlb's own, and never told as wrong words of the user's."""
    try:
        yield
    except Exception as error:
        raise RuntimeError("the reload failed in itself, halfway") from error
