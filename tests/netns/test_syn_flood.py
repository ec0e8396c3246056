"""Tens of thousands of SYNs a second from addresses that nobody has: connections go on, and new ones are made."""

import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest

from netns.running import ROOT, inside, wait_until
from netns.sites import Routed, serving, site
from netns.traffic import connect, get, listening

pytestmark = pytest.mark.root

RATE, SECONDS = 20_000, 4.0
QUOTA = 1000
CHAT = 5001
SENDERS = {"to": "198.18.0.0/15", "via": "10.0.1.10"}  # so that the servers' answers leave swlb, too


def small_quota(config):
    config["limits"]["half_open"] = QUOTA
    config["routes"] = [SENDERS]
    # Whether a busy machine answers its checks in time is another question.
    config["services"]["web"]["check"] |= {"response": "5s", "retries": 10, "timeout": "60s"}
    config["services"]["web"]["timeouts"] = {"tcp_syn": "2s"}
    servers = {name: {**server, "port": CHAT} for name, server in config["services"]["web"]["servers"].items()}
    config["services"]["chat"] = {"vip": config["services"]["web"]["vip"], "port": CHAT, "servers": servers}


@contextmanager
def flooded(at, vip):
    """Within the block SYNs come, until the process given ends; it prints how many."""
    argv = [*inside(at.client.netns), sys.executable, "-m", "swlb.bench.synflood", vip, "80", str(RATE), str(SECONDS)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield process


def chat(sock) -> None:
    while said := sock.recv(100):
        sock.sendall(said)


def answered(sock) -> bool:
    sock.sendall(b"still there?")
    return sock.recv(100) == b"still there?"


def test_a_flood_breaks_no_connection_and_keeps_nobody_out(make_netns, tmp_path):
    vip = Routed.vips[4]
    with site(Routed, make_netns, tmp_path, change=small_quota) as at, serving(at), ExitStack() as connections:
        for host in at.servers:
            for n in (4, 6):
                connections.enter_context(listening(host, host.address(n), CHAT, chat))
        opened = [connections.enter_context(connect(at.client, Routed.vips[n], CHAT)) for n in (4, 6) * 5]
        answers = []
        with flooded(at, vip) as flood:
            (event,) = wait_until(lambda: at.swlb.events("syn_flood"), "the flood is told")
            assert event["service"] == "web"
            while flood.poll() is None:
                answers.append(get(at.client, vip))
                assert all(answered(sock) for sock in opened)
            n_sent, _ = json.load(flood.stdout)
        assert len(answers) > 3
        stateless = at.swlb.row("services", service="web")["stateless"]
        assert n_sent / 4 < stateless <= n_sent + 2 * len(answers)
        (over,) = wait_until(lambda: at.swlb.events("syn_flood_over"), "the end of the flood is told")
        assert over["syns"] == stateless
        half_open = [row for row in at.swlb.show("sessions") if row["state"] == "SYN_RECV"]
        assert len(half_open) <= QUOTA
        assert at.swlb.drops().get("session_full", 0) == 0
