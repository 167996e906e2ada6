from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys

import pytest
import torch

from ffpipe.pipeline.memory_limit import default_limit, is_exhausted, machine_memory, own_memory

GIB = 1 << 30


@pytest.mark.parametrize(
    ("memory", "cores", "limit"),
    [(100 * GIB, 4, 20.0), (64 * GIB, 64, 4.0), (4 * GIB, 8, 3.2), (1000 * GIB, 1, 800.0)],
)
def test_a_worker_gets_its_cores_share_but_what_it_needs(memory: int, cores: int, limit: float) -> None:
    assert default_limit(memory, cores) == pytest.approx(limit * GIB, abs=1)


def test_the_machine_has_what_it_says() -> None:
    assert own_memory() < machine_memory() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    before = own_memory()
    # Memory of its own, which the allocator cannot take from what it has left.
    with mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        held.write(b"x" * len(held))
        assert own_memory() - before >= len(held) * 0.9


def test_a_process_past_its_limit_ends_itself_and_one_below_lives() -> None:
    code = (
        "import sys, time; from ffpipe.pipeline import memory_limit\n"
        "memory_limit.guard(1 << 40); memory_limit.guard(memory_limit.own_memory() + (200 << 20))\n"
        "held = bytearray(b'x') * (int(sys.argv[1]) << 20); time.sleep(float(sys.argv[2]))"
    )
    codes = [
        subprocess.run([sys.executable, "-c", code, *a]).returncode for a in (("50", "1"), ("300", "60"))
    ]
    assert codes == [0, -signal.SIGKILL]


def test_failed_allocations_are_known() -> None:
    assert is_exhausted(MemoryError())
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert is_exhausted(caught.value)
    assert not is_exhausted(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_exhausted(ValueError("no"))
