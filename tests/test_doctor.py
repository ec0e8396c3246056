"""What `swlb doctor` prints: the commands of each server, and nothing where nothing is needed."""

import json
import subprocess
from pathlib import Path

import pytest

from swlb.bypass import clients_past, warning
from swlb.config import parse
from swlb.decap_cli import decap
from swlb.doctor import Patient, diagnose, prescription, rows
from tests.config_text import BASE, DIRECT, ONE_ARM, changed
from tests.test_cli import run

SWITCH_ONLY = "ports: {a: {tap: swa}, b: {tap: swb}}\nsegments: {lan: {ports: [a, b]}}\n"
LOOPBACK_4 = ["ip address replace 10.0.0.100/32 dev lo"]
LOOPBACK_6 = ["ip address replace fd00::100/128 dev lo nodad"]
SILENCE = ["sysctl -w net.ipv4.conf.all.arp_ignore=1", "sysctl -w net.ipv4.conf.all.arp_announce=2"]
NEVER = ONE_ARM.replace("source_nat: auto", "source_nat: never").replace("mode: transparent", "mode: routed")


def patients(text: str) -> dict[str, Patient]:
    """By address."""
    return {patient.address: patient for patient in diagnose(parse(text, file="lab.yaml"))}


def commands(text: str, address: str) -> list[str]:
    """All that the server at the address is told to run."""
    return [command for step in patients(text)[address].steps for command in step.commands]


def tunnel(forward: str, vip: str, server: str, keys: str = "") -> str:
    """A configuration with that one server behind a tunnel."""
    text = DIRECT.replace('[10.0.0.100, "fd00::100"]', vip).replace("forward: dsr", f"forward: {forward}{keys}")
    return text.replace('{web1: {address: 10.0.0.11}, web2: {address: "fd00::12"}}', f"{{web1: {{address: {server}}}}}")


def test_a_dsr_server_gets_the_vip_of_its_family_and_leaves_arp_to_swlb() -> None:
    assert commands(DIRECT, "10.0.0.11") == LOOPBACK_4 + SILENCE


def test_an_ipv6_dsr_server_needs_no_setting_beside_the_vip() -> None:
    assert commands(DIRECT, "fd00::12") == LOOPBACK_6


@pytest.mark.parametrize(
    ("vip", "server", "module", "device"),
    [
        ("10.0.0.100", "10.0.0.11", "ipip", "swlb4in4 type ipip local 10.0.0.11 remote 10.0.0.1"),
        ('"fd00::100"', "10.0.0.11", "sit", "swlb6in4 type sit local 10.0.0.11 remote 10.0.0.1"),
        ("10.0.0.100", "fd00::11", "ip6_tunnel", "swlb4in6 type ip6tnl mode ipip6 local fd00::11 remote fd00::1"),
        ('"fd00::100"', "fd00::11", "ip6_tunnel", "swlb6in6 type ip6tnl mode ip6ip6 local fd00::11 remote fd00::1"),
    ],
)
def test_each_pair_of_families_has_its_tunnel_device(vip: str, server: str, module: str, device: str) -> None:
    told = commands(tunnel("ipip", vip, f'"{server}"'), server)
    name = device.split()[0]
    at = told.index(f"modprobe {module}")
    assert told[at + 1 : at + 3] == [f"ip link add name {device}", f"ip link set {name} up"]
    # The kernel drops what comes out of a tunnel when it would answer by another device; IPv6 has no such check.
    assert (f"sysctl -w net.ipv4.conf.{name}.rp_filter=2" in told) == (":" not in vip)


@pytest.mark.parametrize(
    ("server", "module", "command"),
    [("10.0.0.11", "fou", "ip fou add port 7000 gue"), ("fd00::11", "fou6", "ip -6 fou add port 7000 gue")],
)
def test_gue_is_received_on_its_port(server: str, module: str, command: str) -> None:
    told = commands(tunnel("gue", "10.0.0.100", f'"{server}"', "\n    gue: {port: 7000}"), server)
    at = told.index(f"modprobe {module}")
    assert told[at + 1] == command


def test_a_server_that_takes_two_families_from_tunnels_is_told_of_the_module_once() -> None:
    told = commands(tunnel("ipip", '[10.0.0.100, "fd00::100"]', '"fd00::11"'), "fd00::11")
    assert told.count("modprobe ip6_tunnel") == 1
    assert sum(command.startswith("ip link add") for command in told) == 2


@pytest.mark.parametrize(
    ("forward", "keys", "decap"),
    [
        ("ipip", "", "swlb decap --vip 10.0.0.100 --vip fd00::100"),
        ("gue", "", "swlb decap --vip 10.0.0.100 --vip fd00::100"),
        ("gue", "\n    gue: {port: 7000}", "swlb decap --vip 10.0.0.100 --vip fd00::100 --gue-port 7000"),
    ],
)
def test_swlb_decap_stands_in_for_a_kernel_without_tunnels(forward: str, keys: str, decap: str) -> None:
    (patient, _) = patients(tunnel(forward, '[10.0.0.100, "fd00::100"]', "10.0.0.11", keys)).values()
    assert [step.instead for step in patient.steps if step.instead] == [(decap,)]


def test_a_second_port_of_gue_has_a_decap_of_its_own() -> None:
    text = tunnel("gue", "10.0.0.100", "10.0.0.11").replace("forward: ipip", "forward: gue\n    gue: {port: 7000}")
    (patient,) = patients(text.replace("10.9.0.11", "10.0.0.11")).values()
    vips = "--vip 10.0.0.100 --vip 10.0.0.101"
    assert [step.instead for step in patient.steps if step.instead] == [
        (f"swlb decap {vips}", f"swlb decap {vips} --gue-port 7000 --no-ipip --device swdecap1")
    ]


def test_the_words_for_swlb_decap_are_words_that_it_knows() -> None:
    text = tunnel("gue", '[10.0.0.100, "fd00::100"]', "10.0.0.11", "\n    gue: {port: 7000}").replace(
        "forward: ipip", "forward: gue").replace("10.9.0.11", "10.0.0.11")  # fmt: skip
    (patient,) = patients(text).values()
    lines = [line for step in patient.steps for line in step.instead]
    assert len(lines) == 2
    for line in lines:
        decap.make_context("decap", line.removeprefix("swlb decap ").split())


@pytest.mark.parametrize(
    ("keys", "mss"), [("", [1440, 1420]), ("\n    mss: 1200", [1200, 1200]), ("\n    mss: off", []),
                      ("\n    protocol: udp", [])]
)  # fmt: skip
def test_a_server_behind_a_tunnel_announces_what_fits(keys: str, mss: list[int]) -> None:
    told = commands(tunnel("ipip", '[10.0.0.100, "fd00::100"]', "10.0.0.11", keys), "10.0.0.11")
    versions = zip((4, 6), mss, strict=False)
    assert [command for command in told if "advmss" in command] == [
        f"ip -{v} route change $(ip -{v} route show default | head -n 1) advmss {size}" for v, size in versions
    ]


def test_servers_of_a_routed_service_have_swlb_as_gateway() -> None:
    text = BASE.replace("10.0.2.1/24", '10.0.2.1/24, "fd00:2::1/64"').replace("10.0.2.12", '"fd00:2::12"')
    text = text.replace("vip: 10.0.1.100\n", 'vip: [10.0.1.100, "fd00:1::100"]\n')
    assert commands(text, "10.0.2.11") == ["ip route replace default via 10.0.2.1"]
    assert commands(text, "fd00:2::12") == ["ip -6 route replace default via fd00:2::1"]


def test_a_source_that_is_always_rewritten_needs_no_gateway() -> None:
    assert commands(changed("port: 80\n", "port: 80\n    source_nat: always\n"), "10.0.2.11") == []


def test_beside_a_switch_servers_need_swlb_as_gateway_only_where_the_source_stays() -> None:
    assert commands(ONE_ARM, "10.0.0.11") == []
    assert commands(NEVER, "10.0.0.11") == ["ip route replace default via 10.0.0.1"]


def test_whom_the_server_answers_past_swlb_is_said_in_the_words_of_check() -> None:
    config = parse(NEVER, file="lab.yaml")
    (note,) = patients(NEVER)["10.0.0.11"].notes
    assert note == "Service web: " + warning(clients_past(config, config.services["web"]))


def test_in_transparent_mode_servers_need_nothing() -> None:
    text = DIRECT.replace("mode: dsr", "mode: transparent").replace("forward: dsr", "forward: nat")
    assert commands(text, "10.0.0.11") == []
    assert "# 10.0.0.11: web/web1\n# Nothing to set.\n" in prescription(list(patients(text).values()))


def test_behind_a_router_it_is_the_router_s_turn() -> None:
    text = changed("port: 80\n", "port: 80\n    source_nat: auto\n").replace("10.0.2.11", "10.0.9.11")
    patient = patients(text)["10.0.9.11"]
    assert (patient.steps, patient.notes) == (
        [], ["Router 10.0.1.254, which it is behind, must send what is for clients to swlb, 10.0.1.1."]
    )  # fmt: skip


def test_an_address_that_stands_for_clients_elsewhere_needs_a_route() -> None:
    text = changed("source_nat: auto", "source_nat: always\n    source_pool: [192.0.2.7]", ONE_ARM)
    assert patients(text)["10.0.0.11"].notes == ["It needs a route to 192.0.2.7 by swlb, 10.0.0.1."]


def test_a_server_of_several_services_is_told_everything_once() -> None:
    text = changed("10.9.0.11", "10.0.0.11", DIRECT)
    patient = patients(text)["10.0.0.11"]
    assert patient.servers == ["web/web1", "far/far1"]
    assert commands(text, "10.0.0.11")[:4] == [*LOOPBACK_4, "ip address replace 10.0.0.101/32 dev lo", *SILENCE]


def test_rows_are_the_same_for_programs() -> None:
    (row, *_) = json.loads(json.dumps(rows(diagnose(parse(DIRECT, file="lab.yaml")))))
    assert set(row) == {"address", "servers", "steps", "notes"}
    assert row["steps"][0] == {"why": "It takes packets for the VIP, and answers as the VIP.", "commands": LOOPBACK_4,
                               "instead": []}  # fmt: skip


def test_what_is_printed_is_a_shell_script_of_just_these_commands() -> None:
    told = [command for text in (DIRECT, BASE, NEVER) for patient in patients(text).values()
            for step in patient.steps for command in step.commands]  # fmt: skip
    page = "".join(prescription(list(patients(text).values())) for text in (DIRECT, BASE, NEVER))
    assert [line for line in page.splitlines() if line and not line.startswith("#")] == told
    assert subprocess.run(["bash", "-n"], input=page, text=True, check=False).returncode == 0


def test_a_configuration_without_servers_is_said_to_be_one() -> None:
    assert prescription(diagnose(parse(SWITCH_ONLY, file="lab.yaml"))) == "# no service has a server\n"


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_the_command_prints_it(monkeypatch, capsys, tmp_path: Path, words: list[str]) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(DIRECT)
    assert run(monkeypatch, "doctor", str(file), *words) in (0, None)
    said = capsys.readouterr().out
    assert LOOPBACK_4[0] in said
    assert bool(words) == said.startswith("[")


def test_the_command_refuses_what_check_refuses(monkeypatch, capsys, tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(DIRECT.replace("10.9.0.11", "10.9.0.11, port: 8080"))
    assert run(monkeypatch, "doctor", str(file)) == 2
    assert "ports cannot be translated" in capsys.readouterr().err
