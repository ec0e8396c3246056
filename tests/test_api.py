"""The control socket and its other end, with an app that only records what it is asked."""

import asyncio
import http.client
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from swlb.api import control_socket, serve
from swlb.client import ask, listen
from swlb.errors import ConfigError, NotRunning, Problem, SwlbError, WrongWords


class Recorder:
    """A controlled swlb of which nothing but the words is there."""

    def __init__(self) -> None:
        self.asked: list[tuple] = []

    def show(self, noun, asked):
        if "color" in asked:
            raise ValueError("not chosen by color")
        return {"ports": [[{"port": "client", **asked}]], "fdb": [[]], "sessions": self.sessions()}[noun]

    def total(self, noun):
        return 1000 if noun == "sessions" else None

    def sessions(self):
        """Slices, empty ones among them; the last when something else has been asked meanwhile."""
        yield []
        yield [{"n": 1}, {"n": 2}]
        while not self.asked:
            yield []
        yield [{"n": 3}]

    def order(self, server, order):
        self.asked.append((server, order))
        if order == "wrong":
            raise ValueError("no order")
        if order == "break":
            raise RuntimeError("a mistake of ours")
        if server == "no/body":
            raise SwlbError("no server")
        return "done so"

    def why(self, server):
        self.asked.append(("why", server))
        if server == "no/body":
            raise SwlbError("no server")
        return {"server": server, "sentence": "because."}

    def flush(self, what, *, segment, service, server):
        self.asked.append((what, segment, service, server))
        if segment == "nosuch":
            raise SwlbError("no segment")
        return 3

    async def plan(self, file):
        self.asked.append(("plan", file))
        if file == "/bad.yaml":
            raise ConfigError(Problem(file, 3, "mode", "a", "b"))
        return {"steps": [], "sentence": "nothing"}

    async def reload(self, file):
        self.asked.append(("reload", file))
        if file == "/bad.yaml":
            raise ConfigError(Problem(file, 3, "mode", "a", "b"), Problem(file, 4, "ports", "c", "d"))
        if file == "/taken.yaml":
            raise SwlbError("port web1 (sws1): a reason; an advice")
        return "1 server added"


@contextmanager
def served(app, path: Path):
    """Within the block the app is served at the path, from a thread of its own."""
    ready, failed = threading.Event(), []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ending = asyncio.Event()
        try:
            with control_socket(path) as sock:
                async with serve(app, sock):
                    end.append(lambda: loop.call_soon_threadsafe(ending.set))
                    ready.set()
                    await ending.wait()
        except BaseException as error:
            failed.append(error)
            ready.set()

    end: list = []
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(10)
    try:
        if failed:
            raise failed[0]
        yield
    finally:
        for ending in end:
            ending()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "swlb.sock"


@pytest.fixture
def app(path):
    recorder = Recorder()
    with served(recorder, path):
        yield recorder


def test_show_answers_the_rows(app, path):
    assert ask(path, "GET", "/show/ports") == [{"port": "client"}]


def test_words_after_the_noun_arrive(app, path):
    assert ask(path, "GET", "/show/ports?client=10.0.0.0%2F8") == [{"port": "client", "client": "10.0.0.0/8"}]
    with pytest.raises(WrongWords, match="color"):
        ask(path, "GET", "/show/ports?color=blue")


def test_of_how_many_rows_a_list_has_some_is_told_before_it(app, path):
    for noun, total in (("sessions", 1000), ("ports", None)):
        with listen(path, f"/show/{noun}") as told:
            assert told.total == total


def test_no_rows_are_an_empty_list(app, path):
    assert ask(path, "GET", "/show/fdb") == []


def test_other_requests_are_answered_while_a_long_list_is_told(app, path):
    with ThreadPoolExecutor() as threads:
        shown = threads.submit(ask, path, "GET", "/show/sessions")
        time.sleep(0.05)
        ask(path, "POST", "/set/server", {"server": "web/web1", "order": "drain"})
        assert shown.result(10) == [{"n": 1}, {"n": 2}, {"n": 3}]


class Endless(Recorder):
    """Sessions without end, or with a long one; `at` is how many have been made, `is_over` that no more will be."""

    at = 0
    is_over = False

    def sessions(self):
        try:
            while True:
                self.at += 1
                yield [{"n": self.at, "padding": "x" * 100}]
        finally:
            self.is_over = True


def wait_until(holds, within=10.0):
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_rows_come_before_the_last_is_made(app, path):
    """The last is made when something else has been asked."""
    with listen(path, "/show/sessions") as told:
        rows = told.rows()
        assert next(batch for batch in rows if batch) == [{"n": 1}, {"n": 2}]
        ask(path, "POST", "/set/server", {"server": "web/web1", "order": "drain"})
        assert [row for batch in rows for row in batch] == [{"n": 3}]


def test_a_list_that_nobody_reads_on_is_made_no_further_than_is_sent(path):
    endless = Endless()
    with served(endless, path), listen(path, "/show/sessions") as told:
        next(told.rows())
        before = None
        while before != endless.at:
            before = endless.at
            time.sleep(0.2)
        assert before < 100_000


def test_a_list_whose_reader_is_gone_is_made_no_further(path, caplog):
    endless = Endless()
    with served(endless, path):
        with listen(path, "/show/sessions") as told:
            assert next(told.rows())
        wait_until(lambda: endless.is_over)
        assert ask(path, "GET", "/show/ports") == [{"port": "client"}]
    assert caplog.messages == []


def test_a_list_that_nobody_reads_on_does_not_hold_up_the_end(path):
    with served(Endless(), path):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        sock.sendall(b"GET /show/sessions HTTP/1.1\r\nHost: swlb\r\n\r\n")
        assert sock.recv(1000)
        began = time.monotonic()
    assert time.monotonic() - began < 30  # aiohttp's own patience is a minute
    sock.close()


def test_a_list_that_ends_before_its_end_is_said_so(path):
    class Breaks(Recorder):
        def sessions(self):
            yield [{"n": 1}]
            raise RuntimeError("a mistake of ours")

    with served(Breaks(), path), listen(path, "/show/sessions") as told:
        with pytest.raises(SwlbError, match="ended before its list did") as refusal:
            list(told.rows())
        assert refusal.value.exit_code == 1


def test_an_order_arrives_as_it_was_given(app, path):
    assert ask(path, "POST", "/set/server", {"server": "web/web1", "order": "drain"}) == {"done": "done so"}
    assert app.asked == [("web/web1", "drain")]


def test_why_answers_for_the_server_that_was_named(app, path):
    assert ask(path, "GET", "/why/web/web1.a-b") == {"server": "web/web1.a-b", "sentence": "because."}
    assert app.asked == [("why", "web/web1.a-b")]


def test_flush_answers_how_many_went(app, path):
    chosen = {"segment": None, "service": "web", "server": None}
    assert ask(path, "POST", "/flush/sessions", chosen) == {"flushed": 3}
    assert app.asked == [("sessions", None, "web", None)]


@pytest.mark.parametrize("file", [None, "/etc/swlb.yaml"])
def test_reload_answers_what_has_changed(app, path, file):
    assert ask(path, "POST", "/reload", {"file": file}) == {"done": "1 server added"}
    assert app.asked == [("reload", file)]


def test_a_configuration_that_is_refused_is_wrong_words_with_a_line_for_each_problem(app, path):
    with pytest.raises(WrongWords) as refusal:
        ask(path, "POST", "/reload", {"file": "/bad.yaml"})
    assert str(refusal.value).splitlines() == [
        "/bad.yaml:3: mode: found a; expected b", "/bad.yaml:4: ports: found c; expected d"
    ]  # fmt: skip


def test_a_device_that_cannot_be_had_is_no_wrong_configuration(app, path):
    with pytest.raises(SwlbError, match="an advice") as refusal:
        ask(path, "POST", "/reload", {"file": "/taken.yaml"})
    assert refusal.value.exit_code == 1


def test_plan_answers_what_a_reload_would_do(app, path):
    assert ask(path, "POST", "/plan", {"file": "/etc/swlb.yaml"}) == {"steps": [], "sentence": "nothing"}
    assert app.asked == [("plan", "/etc/swlb.yaml")]


def test_a_plan_of_what_would_be_refused_is_wrong_words(app, path):
    with pytest.raises(WrongWords, match=r"/bad.yaml:3: mode: found a; expected b"):
        ask(path, "POST", "/plan", {"file": "/bad.yaml"})


@pytest.mark.parametrize("file", [None, "swlb.yaml", "", 3, []])
def test_a_plan_is_of_a_file_with_an_absolute_path(app, path, file):
    with pytest.raises(WrongWords, match="absolute"):
        ask(path, "POST", "/plan", {"file": file})
    assert app.asked == []


@pytest.mark.parametrize("file", ["swlb.yaml", "", 3, []])
def test_a_file_is_named_by_its_absolute_path(app, path, file):
    with pytest.raises(WrongWords, match="absolute"):
        ask(path, "POST", "/reload", {"file": file})
    assert app.asked == []


def test_wrong_words_are_wrong_words_at_the_other_end(app, path):
    with pytest.raises(WrongWords, match="no order"):
        ask(path, "POST", "/set/server", {"server": "web/web1", "order": "wrong"})


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [("POST", "/set/server", {"server": "no/body", "order": "drain"}), ("GET", "/show/weather", None),
     ("GET", "/why/no/body", None),
     ("GET", "/nowhere", None), ("POST", "/flush/weather", {}), ("POST", "/flush/fdb", {"segment": "nosuch"}),
     ("GET", "/set/server", None)],
)  # fmt: skip
def test_what_is_not_there_is_refused_with_a_sentence(app, path, method, target, body):
    with pytest.raises(SwlbError) as refusal:
        ask(path, method, target, body)
    assert refusal.value.exit_code == 1
    assert str(refusal.value)


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff\xfe"])
def test_a_body_that_is_no_json_object_is_wrong_words(app, path, body):
    connection = http.client.HTTPConnection("swlb")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request("POST", "/set/server", body=body)
    response = connection.getresponse()
    assert (response.status, b"error" in response.read()) == (400, True)
    connection.close()


def test_the_socket_is_gone_after_the_end(path):
    with served(Recorder(), path):
        assert path.is_socket()
    assert not path.exists()


def test_a_socket_that_nobody_answers_is_replaced(path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with served(Recorder(), path):
        assert ask(path, "GET", "/show/ports")


def test_a_socket_that_answers_is_another_swlb_s(app, path):
    with pytest.raises(SwlbError, match="another swlb answers there"), served(Recorder(), path):
        pass
    assert ask(path, "GET", "/show/ports")


def test_a_file_in_the_way_is_refused_and_stays(path):
    path.write_text("precious")
    with pytest.raises(SwlbError, match="the control socket cannot be made"), served(Recorder(), path):
        pass
    assert path.read_text() == "precious"


def test_a_mistake_of_ours_is_no_traceback_at_the_other_end(app, path):
    with pytest.raises(SwlbError, match=r"could not answer \(500"):
        ask(path, "POST", "/set/server", {"server": "web/web1", "order": "break"})


def test_nobody_at_the_socket_is_not_running(path):
    with pytest.raises(NotRunning, match="swlb run FILE"):
        ask(path, "GET", "/show/ports")


def test_what_answers_and_is_no_swlb_is_not_running(path):
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(path))
        stranger.listen()

        def babble() -> None:
            connection, _ = stranger.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 smtp.example ESMTP\r\n")

        thread = threading.Thread(target=babble)
        thread.start()
        with pytest.raises(NotRunning):
            ask(path, "GET", "/show/ports")
        thread.join()


def test_one_that_does_not_answer_in_time_is_not_said_not_to_run(tmp_path, monkeypatch):
    monkeypatch.setattr("swlb.client.TIMEOUT_S", 0.2)
    path = tmp_path / "swlb.sock"
    with control_socket(path), pytest.raises(SwlbError, match=r"has not answered within 0\.2 s") as error:
        ask(path, "POST", "/reload", {"file": None})
    assert error.value.exit_code == 1
