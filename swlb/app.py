"""One running swlb: devices, workers, checks and control socket, from start to a clean end.

Workers forward in threads of their own and need nothing from here; this is the event loop beside them.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from swlb import ports as devices
from swlb.addresses import mac_text, unpacked
from swlb.api import control_socket, serve
from swlb.balancer import Balancer
from swlb.build import Built, build
from swlb.clock import Clock, SystemClock
from swlb.config import Config, load
from swlb.config.source import counted
from swlb.events import Events
from swlb.figures import Row, slices, total
from swlb.floods import Floods
from swlb.own_tables import OwnTables
from swlb.plan import Present, held_by, plan
from swlb.ports import Ports
from swlb.reloading import Reloading
from swlb.session_filter import index_of
from swlb.succession import up_at_start
from swlb.surroundings import check_surroundings, kernel_ports
from swlb.ways_out import ways_out

log = logging.getLogger("swlb")

EVENT_GAP_S = 0.2  # between two looks at what the workers have to tell
WATCH_GAP_S = 0.4  # between two looks at the devices; a change is followed within a second


class App:
    """A running swlb, as the control socket sees it."""

    def __init__(
        self, config: Config, built: Built, ports: Ports, clock: Clock, *, file: Path, ring: bool = True
    ) -> None:
        """`file` is where the configuration is from; with `ring` workers use io_uring if the kernel lets them."""
        self.config = config
        self.built = built
        self.ports = ports
        self.clock = clock
        self.events = Events()
        self.balancer = Balancer(config, built, ways_out(config, ports), clock, self.events)
        self.own_tables = OwnTables(self.balancer, clock)
        self.reloading = Reloading(self, file, ring=ring)
        self._names = _Names()
        self._floods = Floods()

    def show(self, noun: str, asked: Mapping[str, str]) -> Iterable[list[Row]]:
        """The rows of a noun of `swlb show`, those that are asked for, in slices; KeyError for an unknown noun."""
        return slices(self, noun, asked)

    def total(self, noun: str) -> int | None:
        """How many rows the noun has in all, where some of them may be asked for."""
        return total(self, noun)

    def order(self, server: str, order: str) -> str:
        """The order is carried out; a sentence that says so."""
        return self.balancer.order(server, order)

    def why(self, server: str) -> dict[str, Any]:
        """Why SERVICE/SERVER takes new sessions, or none; SwlbError for an unknown one."""
        return self.balancer.why(server)

    async def plan(self, file: str) -> dict[str, Any]:
        """What a reload of the file would do; ConfigError when it would be refused. Nothing has changed."""
        after = await asyncio.to_thread(load, file, running=self.config)
        return await asyncio.to_thread(plan, self._present(), after)

    def _present(self) -> Present:
        """What is there now, all of it seen at once."""
        held = {key: held_by(self.built.workers, index) for key, index in self.built.servers.items()}
        lost = [name for name, port in self.ports.opened.items() if not port.state.present]
        return Present(self.config, held, lost)

    async def reload(self, file: str | None) -> str:
        """The configuration of the file, by default of the last one, is in force; a sentence of what has changed."""
        return await self.reloading.reload(None if file is None else Path(file))

    def flush(self, what: str, *, segment: str | None, service: str | None, server: str | None) -> int:
        """The table is empty, or what of it belongs to the segment, service or server; how many entries went."""
        workers = self.built.workers
        servers = {"/".join(key): index for key, index in self.built.servers.items()}
        if what in ("sessions", "persistence"):
            forget = workers.flush_sessions if what == "sessions" else self.built.persists.forget
            return forget(
                service=index_of("service", service, self.built.services), server=index_of("server", server, servers)
            )
        flush = {"fdb": workers.flush_fdb, "neighbours": workers.flush_neighbours}[what]
        chosen = index_of("segment", segment, self.built.segments)
        return sum(flush(index) for index in self.built.segments.values() if chosen in (None, index))

    async def listen_to_workers(self) -> None:
        """What the workers report becomes an event, for ever."""
        while True:
            self.hear()
            await asyncio.sleep(EVENT_GAP_S)

    def hear(self) -> None:
        """What the workers have had to report until now is an event."""
        self._names.learn(self.built)
        for event in self.built.workers.events():
            self._hear(event)

    async def watch_devices(self) -> None:
        """The workers follow what happens to the devices, for ever."""
        while True:
            self.ports.look(self.built, self.events)
            await asyncio.sleep(WATCH_GAP_S)

    def _hear(self, event: dict[str, Any]) -> None:
        if event["kind"] == "reply_bypasses":  # whose "port" is a server
            self.balancer.hear_of_bypass(event["port"], unpacked(event["ip"]))
            return
        if event["kind"] in ("syn_flood", "syn_flood_over"):  # whose "port" is a service
            self._hear_of_flood(event)
            return
        port, segment = self._names.port(event["port"]), self._names.segment(event["segment"])
        mac, address = mac_text(event["mac"]), str(unpacked(event["ip"]))
        match event["kind"]:
            case "port_lost":
                # watch_devices tells it in the same words, whoever notices first.
                self.ports.look(self.built, self.events)
            case "mac_moved":
                text = f"station {mac} on segment {segment} is behind port {port} now"
                self.events.add("mac_moved", text, segment=segment, port=port, mac=mac)
            case "address_conflict" | "vip_conflict" as kind:
                what = "VIP" if kind == "vip_conflict" else "address"
                text = f"station {mac} on port {port} claims {what} {address}, which is swlb's on segment {segment}"
                self.events.add(kind, text, segment=segment, port=port, mac=mac, address=address)
            case "table_full":
                text = f"the session table is full at {self.config.limits.sessions}: new sessions are refused"
                self.events.add("table_full", text, table="sessions", limit=self.config.limits.sessions)
            case "source_limit":
                limit = self.config.limits.sessions_per_source
                whose = f"{address}'s /64" if ":" in address else address
                text = (f"{whose} has {limit} sessions, as many as one address may (limits.sessions_per_source):"
                        " its new ones are dropped")  # fmt: skip
                self.events.add("source_limit", text, address=address, limit=limit)
            case "neighbours_full":
                text = f"no room for another neighbour on segment {segment}: what was for {address} is dropped"
                self.events.add("table_full", text, table="neighbours", limit=self.config.limits.neighbours)
            case "unremembered":
                text = f"persistence has no room for {address}, whose next session may go to another server"
                self.events.add("table_full", text, table="persistence", limit=self.config.limits.sessions)
            case "neighbour_lost":
                text = f"{address} on segment {segment} does not answer: nothing can be sent to it"
                self.events.add("neighbour_lost", text, segment=segment, address=address)
                self.balancer.traffic.hear_of_loss(unpacked(event["ip"]))

    def _hear_of_flood(self, event: dict[str, Any]) -> None:
        """A flood of SYNs is told when it begins, and when it is over with what it came to."""
        service = self._names.service(event["port"])
        if event["kind"] == "syn_flood":
            if self._floods.begin(service):
                limit = self.config.limits.half_open_quota
                text = (f"service {service}: no more sessions may be half open (limits.half_open: {limit}), so SYNs are"
                        " forwarded without one; a connection gets it when its handshake is complete")  # fmt: skip
                self.events.add("syn_flood", text, service=service, limit=limit)
            return
        # An event has one number: where others have a MAC.
        n = self._floods.end(service, int.from_bytes(event["mac"], "little"))
        if n is not None:
            text = f"service {service}: the flood is over; {n} SYNs were forwarded without a session"
            self.events.add("syn_flood_over", text, service=service, syns=n)


async def run(config: Config, control: Path, *, file: Path, ring: bool = True) -> None:
    """swlb runs until SIGTERM or SIGINT; prints "ready" once frames are forwarded. Everything is then as before.

    At SIGHUP it reads again `file`, where the configuration is from, or what it was told to read since.
    With `ring` it uses io_uring if the kernel lets it.
    Raises SwlbError when a device cannot be made, the control socket is taken, or an address is the host's own.
    """
    for sentence in check_surroundings(config):
        log.warning("%s", sentence)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stopping, number)
    hung_up = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, hung_up.set)
    # The socket first: when another swlb has it, that is what the operator needs to hear.
    with control_socket(control) as sock, devices.opened(config) as ports:
        built = build(
            config, ports.devices(), up_at_start=up_at_start(config), kernel_ports=kernel_ports(), ring=ring
        )
        ports.listen(config, built.key)
        app = App(config, built, ports, SystemClock(), file=file, ring=ring)
        with built.workers.running():
            async with serve(app, sock), _tasks(
                app.listen_to_workers(),
                app.watch_devices(),
                app.balancer.traffic.watch(),
                app.own_tables.watch(),
                app.reloading.at(hung_up),
            ):
                app.balancer.start()
                counts = f"{counted(len(config.ports), 'port')}, {counted(len(config.services), 'service')}"
                app.events.add("config_loaded", f"{file}: forwarding: {counts}", file=str(file))
                print("ready", flush=True)
                await stopping.wait()
                await app.reloading.end()
                await app.balancer.stop()
    log.info("stopped: devices are gone, the control socket too")


def _stop(stopping: asyncio.Event, number: int) -> None:
    log.info("%s: stopping", signal.Signals(number).name)
    stopping.set()


@asynccontextmanager
async def _tasks(*work: Any) -> AsyncIterator[None]:
    """Within the block the coroutines run; one that fails ends swlb with its exception."""
    main = asyncio.current_task()
    assert main is not None
    failures: list[BaseException] = []

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            failures.append(error)
            main.cancel()

    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    except asyncio.CancelledError:
        if failures:
            raise failures[0] from None
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Names:
    """The names behind the workers' indices, and of what has left those that it had."""

    def __init__(self) -> None:
        self._ports: dict[int, str] = {}
        self._segments: dict[int, str] = {}
        self._services: dict[int, str] = {}

    def learn(self, built: Built) -> None:
        """They are what the workers were built with."""
        self._ports |= {index: name for name, index in built.ports.items()}
        self._segments |= {index: name for name, index in built.segments.items()}
        self._services |= {index: name for name, index in built.services.items()}

    def port(self, index: int | None) -> str | None:
        return None if index is None else self._ports[index]

    def segment(self, index: int | None) -> str | None:
        return None if index is None else self._segments[index]

    def service(self, index: int) -> str:
        return self._services[index]
