"""Call chains of perf and the stages they belong to. The chains are real ones, shortened."""

import pytest

from swlb.bench.stages import OTHER_OWN, chains, folded, in_order, readable, shares, stage_of

READ = """
    ffffffff81db6e7f tun_do_read ([kernel.kallsyms])
    ffffffff81db80b7 tun_chr_read_iter ([kernel.kallsyms])
    ffffffff816b873c do_iter_readv_writev ([kernel.kallsyms])
    ffffffff821ef691 do_syscall_64 ([kernel.kallsyms])
    fddfd __GI___readv (/usr/lib/x86_64-linux-gnu/libc.so.6)
        0 [unknown] ([unknown])
"""
RECEIVED = """
    ffffffff81ff8149 ip_rcv_core ([kernel.kallsyms])
    ffffffff81e6889f netif_receive_skb ([kernel.kallsyms])
    ffffffff81db7228 tun_get_user ([kernel.kallsyms])
    ffffffff81db80b7 tun_chr_write_iter ([kernel.kallsyms])
    ffffffff821ef691 do_syscall_64 ([kernel.kallsyms])
"""
WRITE = """
    ffffffff81e53bae __skb_flow_dissect ([kernel.kallsyms])
    ffffffff81db6e7f tun_get_user ([kernel.kallsyms])
    ffffffff81db80b7 tun_chr_write_iter ([kernel.kallsyms])
"""
ENTRY = """
    ffffffff821ef691 do_syscall_64 ([kernel.kallsyms])
    ffffffff81000130 entry_SYSCALL_64_after_hwframe ([kernel.kallsyms])
    fddfd __GI___readv (/usr/lib/x86_64-linux-gnu/libc.so.6)
"""
PREEMPTED = """
    ffffffff813a4413 finish_task_switch.isra.0 ([kernel.kallsyms])
    ffffffff821faa94 __schedule ([kernel.kallsyms])
    ffffffff821f5b70 irqentry_exit_to_user_mode ([kernel.kallsyms])
    ffffffff81000e06 asm_sysvec_apic_timer_interrupt ([kernel.kallsyms])
    fde9d __GI___writev (/usr/lib/x86_64-linux-gnu/libc.so.6)
"""
URING = """
    ffffffff81a00000 io_submit_sqes ([kernel.kallsyms])
    ffffffff81a00100 __x64_sys_io_uring_enter ([kernel.kallsyms])
"""
URING_READ = """
    ffffffff81db6e7f tun_do_read ([kernel.kallsyms])
    ffffffff81a00050 io_read ([kernel.kallsyms])
    ffffffff81a00100 __x64_sys_io_uring_enter ([kernel.kallsyms])
"""
OWN = """
    1a2b3 __pyx_f_3ext_4loop_turn (/srv/swlb/_worker.cpython-311-x86_64-linux-gnu.so)
    1a2b4 __pyx_pw_4swlb_7_worker_6Worker_19run (/srv/swlb/_worker.cpython-311-x86_64-linux-gnu.so)
"""
LIBC = """
    fddfd __GI___readv (/usr/lib/x86_64-linux-gnu/libc.so.6)
"""
PYTHON = """
    fddfd _PyEval_EvalFrameDefault (/usr/lib/libpython3.11.so.1.0)
"""


@pytest.mark.parametrize(("sample", "stage"), [
    (READ, "read: out of the device"), (RECEIVED, "write: the receiver's network stack"),
    (WRITE, "write: into the device"), (ENTRY, "system calls: entry, exit, files"),
    (PREEMPTED, "interrupted or preempted"), (URING, "io_uring: submit and complete"),
    (URING_READ, "read: out of the device"), (OWN, "swlb: loop.turn"), (LIBC, "C library: around system calls"),
    (PYTHON, "Python: the control plane")])
def test_a_chain_belongs_to_the_stage_it_was_called_for(sample: str, stage: str) -> None:
    (chain,) = chains(sample)
    assert stage_of(chain) == stage


@pytest.mark.parametrize(("symbol", "name"), [
    ("__pyx_f_3ext_4loop_turn", "loop.turn"),
    ("__pyx_f_3ext_6tables_7session_session_of_reply", "tables.session.session_of_reply"),
    ("__pyx_f_3ext_7forward_7balance_balance_new.isra.0", "forward.balance.balance_new"),
    ("__pyx_f_3ext_4wire_5parse_parse_l4", "wire.parse.parse_l4"),
    ("__pyx_pw_4swlb_7_worker_6Worker_19run", "__pyx_pw_4swlb_7_worker_6Worker_19run"),
    ("memcpy", "memcpy")])
def test_functions_are_called_as_in_the_source(symbol: str, name: str) -> None:
    assert readable(symbol) == name


def test_shares_are_percent_of_all_samples() -> None:
    found = chains("\n".join([READ, READ, WRITE, OWN]))
    assert shares(found) == {"read: out of the device": 50, "write: into the device": 25, "swlb: loop.turn": 25}


def test_functions_that_are_small_under_every_load_are_put_together() -> None:
    loads = [{"read: out of the device": 98.0, "swlb: a": 1.5, "swlb: b": 0.2, "swlb: c": 0.3}, {"swlb: a": 0.1}]
    assert folded(loads, least=1.0) == [
        {"read: out of the device": 98.0, "swlb: a": 1.5, OTHER_OWN: 0.5}, {"swlb: a": 0.1, OTHER_OWN: 0}]


def test_stages_are_shown_along_the_way_of_a_frame() -> None:
    titles = ["poll and sleep", "write: into the device", OTHER_OWN, "swlb: b", "swlb: a", "read: out of the device"]
    assert in_order(titles) == ["read: out of the device", "swlb: a", "swlb: b", OTHER_OWN, "write: into the device",
                     "poll and sleep"]
