"""A rolling restart under load loses no request: as the lab counts them, and as curl does."""

import re
import subprocess
from collections import Counter

import pytest

from netns.lab_runs import told_by
from swlb.lab import Lab
from swlb.lab.book import load_lab
from swlb.lab.voice import silent_voice

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tidied_lab")]

SERVERS = ["web1", "web2", "web3"]
URLS = ["http://10.0.1.100/", "http://[fd00:1::100]/"]
REQUESTS = 400  # 20 seconds of them


def rows(name: str) -> list[list[int]]:
    """The numbers of each row of that name: requests, those that failed, and those that each server answered."""
    found = [re.match(rf"  {name} +((?:\d+ +){{5}})", line) for line in told_by("rolling").lines]
    return [[int(number) for number in match[1].split()] for match in found if match]


@pytest.mark.parametrize("server", SERVERS)
def test_no_request_fails_while_a_server_is_restarted(server):
    requests, failed, *answered = rows(server)[0]
    assert failed == 0
    assert sum(answered) == requests
    assert all(answered)


def test_many_requests_were_asked_in_all_and_every_one_was_answered():
    requests, failed, *answered = rows("in all")[0]
    assert (failed, sum(answered)) == (0, requests)
    assert requests > 300


def test_a_server_that_is_killed_is_missed():
    requests, failed, *answered = rows("web2")[1]
    assert failed > 0
    assert sum(answered) == requests - failed


def curl(lab: Lab, url: str, connection: str) -> subprocess.Popen[str]:
    """curl asks many times over one connection, if the server keeps it, and ends at the first that fails."""
    words = ["curl", "--silent", "--show-error", "--fail", "--fail-early", "--max-time", "5", "--rate", "20/s"]
    words += ["--header", f"Connection: {connection}", f"{url}?[1-{REQUESTS}]"]
    return lab.hosts["client"].popen(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_curl_is_answered_every_time_while_servers_are_restarted(a_lab):
    page = load_lab("rolling")
    restart = page.run.__globals__["restart"]
    with a_lab() as lab:
        page.build(lab)
        curls = [curl(lab, url, connection) for url in URLS for connection in ("keep-alive", "close") for _ in range(2)]
        for server in SERVERS[:2]:
            restart(lab, silent_voice(), server)
        ended = [process.poll() for process in curls]
        for process in curls:
            lab.hosts["client"].end(process)
        said = [process.communicate() for process in curls]
    assert [errors for _, errors in said] == [""] * len(curls)
    assert set(ended) <= {None, 0}  # a slow machine may have come to their end
    answered = Counter(line for lines, _ in said for line in lines.splitlines())
    assert sorted(answered) == SERVERS
    assert answered.total() >= 20 * len(curls)
