"""Wrong configurations: `check` and `run` exit 2 with file and line before anything was created."""

import json
import re
import subprocess

import pytest

from netns.running import ROOT, SWLB, cli, inside, ip

pytestmark = pytest.mark.root

GOOD = """\
mode: routed
ports:
  client: {tap: swc0, netns: NETNS}
  web1: {tap: sws1, netns: NETNS}
  web2: {tap: sws2, netns: NETNS}
segments:
  outside: {ports: [client], addresses: [10.0.1.1/24, "fd00:1::1/64"]}
  inside: {ports: [web1, web2], addresses: [10.0.2.1/24, "fd00:2::1/64"]}
services:
  web:
    vip: 10.0.1.100
    port: 80
    servers:
      web1: {address: 10.0.2.11, port: 8080}
      web2: {address: 10.0.2.12, port: 8080, weight: 2}
"""

# What is replaced in GOOD, by what; the line of the message, and words it must have.
WRONG = {
    "a VIP outside every segment": ("vip: 10.0.1.100", "vip: 192.0.2.1", 11, ["services.web.vip", "192.0.2.1"]),
    "a VIP that is swlb's own address": ("vip: 10.0.1.100", "vip: 10.0.1.1", 11, ["services.web.vip", "10.0.1.1"]),
    "an address twice": ("10.0.2.1/24", "10.0.1.1/24", 8, ["segments.inside.addresses", "10.0.1.1"]),
    "a server's address twice": ("10.0.2.12, port: 8080", "10.0.2.11, port: 8080", 15, ["web2", "10.0.2.11"]),
    "a port in two segments": ("ports: [web1, web2]", "ports: [web1, client]", 8, ["client", "outside"]),
    "an unknown key": ("    port: 80\n", "    port: 80\n    colour: blue\n", 13, ["services.web.colour"]),
    "a weight of -1": ("weight: 2", "weight: -1", 15, ["weight", "-1", "0 to 65535"]),
    "a missing namespace": ("sws2, netns: NETNS", "sws2, netns: no-such-ns", 5, ["no-such-ns", "ip netns add"]),
    "a name too long for an interface": ("sws1", "a-name-of-17-char", 4, ["ports.web1.tap", "at most 15"]),
    "a VLAN that nobody can have": ("[web1, web2]", "[web1.4095, web2]", 8,
                                    ["inside.ports[0]", "web1.4095", "web1.1 to web1.4094"]),
    "YAML that cannot be read": ("mode: routed", "mode: [routed", 2, []),
}
CASES = pytest.mark.parametrize(("old", "new", "line", "words"), WRONG.values(), ids=WRONG)


@pytest.fixture
def home(make_netns):
    return make_netns()


@pytest.fixture
def good(netns):
    return GOOD.replace("NETNS", netns)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "lab.yaml"


@pytest.mark.parametrize("command", ["check", "run"])
@CASES
def test_it_exits_2_with_file_and_line_and_creates_nothing(home, netns, file, command, old, new, line, words):
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1).replace("NETNS", netns))
    before = [ip(name, "-o link show") for name in (home, netns)]
    done = cli(command, str(file), "--control", str(file.with_suffix(".sock")), netns=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(rf"^{re.escape(str(file))}:{line}: ", done.stderr, re.M), done.stderr
    assert "found " in done.stderr
    assert "expected " in done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert [ip(name, "-o link show") for name in (home, netns)] == before
    assert not file.with_suffix(".sock").exists()


def test_all_mistakes_are_told_at_once(home, good, file):
    file.write_text(good.replace("weight: 2", "weight: -1").replace("mode: routed", "mode: roted"))
    done = cli("check", str(file), netns=home)
    assert done.returncode == 2
    assert [int(line) for line in re.findall(r"lab\.yaml:(\d+): ", done.stderr)] == [1, 15]


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_missing_file_exits_2_and_is_named(home, file, command):
    done = cli(command, str(file), netns=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert str(file) in done.stderr


def test_a_good_configuration_is_explained_and_nothing_is_created(home, netns, good, file):
    file.write_text(good)
    before = [ip(name, "-o link show") for name in (home, netns)]
    done = cli("check", str(file), netns=home)
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("10.0.1.100", "web1", "web2", "swc0", "outside", "inside"):
        assert word in done.stdout
    assert [ip(name, "-o link show") for name in (home, netns)] == before


def test_a_configuration_in_json_is_read(home, netns, file):
    config = {"ports": {"a": {"tap": "swa", "netns": netns}, "b": {"tap": "swb", "netns": netns}},
              "segments": {"lan": {"ports": ["a", "b"]}}}  # fmt: skip
    file.write_text(json.dumps(config))
    assert cli("check", str(file), netns=home).returncode == 0


@pytest.mark.parametrize("words", [[], ["nosuch"], ["check"], ["run"], ["run", "a", "b"], ["show"], ["set", "server"],
                                   ["--nosuch"], ["show", "servers", "--yaml"]])  # fmt: skip
def test_wrong_words_exit_2(words):
    done = cli(*words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["set", "server", "--help"], ["--version"]])
def test_help_exits_0(words):
    done = cli(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


def test_without_the_right_to_make_devices_it_exits_1_and_says_what_is_missing(good, file, tmp_path):
    file.write_text(good)
    argv = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--securebits=+noroot"]
    command = [*argv, *SWLB, "run", str(file), "--control", str(tmp_path / "swlb.sock")]
    done = subprocess.run(command, cwd=file.parents[0], check=False, capture_output=True, text=True, timeout=30,
                          env={"PYTHONPATH": str(ROOT)})  # fmt: skip
    assert done.returncode == 1
    assert "run as root or with CAP_NET_ADMIN" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_pipe_is_no_accident(home, good, file):
    file.write_text(good)
    swlb = " ".join([*inside(home), *SWLB, "check", str(file)])
    done = subprocess.run(["bash", "-c", f"{swlb} | true"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
