"""The decoding child is bounded, watched and replaced; one bad medium never costs another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from media import Clip, make_clip, make_cut, read_number

from ffpipe.manifests.errors import MediaError
from ffpipe.stages.decode import Limits, decode_in_process
from ffpipe.stages.decode.contract import MEBIBYTE
from ffpipe.stages.decode.sandbox import DecodeSandbox, active_protection
from ffpipe.stages.sampling import Sampling

FEW = Sampling.of_count(4)


def status_of(action: Callable[[], object]) -> str:
    with pytest.raises(MediaError) as caught:
        action()
    return caught.value.status


def gone(pid: int, seconds: float) -> bool:
    """Whether the process ends within that time; a zombie has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def test_frames_are_those_decoded_in_process(sandbox: DecodeSandbox, healthy: dict[str, Clip]) -> None:
    for name in ("b_frames_offset", "rotated_90", "odd_size"):
        with decode_in_process(healthy[name].path, FEW) as decoding:
            expected = [(frame.index, frame.pts_seconds, frame.rgb.copy()) for frame in decoding]
        medium = sandbox.open(healthy[name].path, FEW)
        for frame, (index, pts, rgb) in zip(medium, expected, strict=True):
            assert (frame.index, frame.pts_seconds) == (index, pts)
            np.testing.assert_array_equal(frame.rgb, rgb)
        assert medium.probe == decoding.probe


def test_one_child_serves_medium_after_medium(sandbox: DecodeSandbox, healthy: dict[str, Clip]) -> None:
    pid = sandbox.pid
    for name in ("plain", "mpeg4", "one_frame"):
        assert list(sandbox.open(healthy[name].path, FEW))
    with pytest.raises(MediaError):
        sandbox.open(healthy["plain"].path.with_name("absent.mp4"))
    assert list(sandbox.open(healthy["plain"].path, FEW))
    assert sandbox.pid == pid


def test_headers_alone_tell_facts_and_what_cannot_be_there(
    sandbox: DecodeSandbox, healthy: dict[str, Clip], tmp_path: Path
) -> None:
    for clip in healthy.values():
        with sandbox.open(clip.path, Sampling.of_count(4), header_only=True) as medium:
            assert list(medium) == []
        assert (medium.probe.codec is not None, medium.partial_reason) == (True, None), clip.path
    cut = make_cut(tmp_path / "cut.mp4")
    with sandbox.open(cut.path, header_only=True) as medium:
        assert list(medium) == []
    assert medium.partial_reason is not None
    assert "the file ends before" in medium.partial_reason
    with sandbox.open(healthy["plain"].path, Sampling.of_count(4)) as medium:
        assert len(list(medium)) == 4, "the child is ready for the next medium"


def test_a_worn_child_is_replaced(healthy: dict[str, Clip]) -> None:
    with DecodeSandbox(recycle_after=2) as worn:
        pids = []
        for _ in range(4):
            pids.append(worn.pid)
            assert list(worn.open(healthy["plain"].path, FEW))
        assert pids[0] == pids[1] != pids[2] == pids[3]


def test_a_medium_can_be_left_early(sandbox: DecodeSandbox, healthy: dict[str, Clip]) -> None:
    first = sandbox.open(healthy["plain"].path, Sampling.of_all())
    assert next(iter(first)).index == 0
    second = sandbox.open(healthy["b_frames"].path, FEW)
    assert [read_number(frame.rgb) for frame in second] == [3, 9, 15, 21]
    assert list(first) == []


def test_a_hanging_decoder_is_killed_at_the_time_limit(healthy: dict[str, Clip]) -> None:
    """SIGSTOP stands for any decoder that stops answering."""
    with DecodeSandbox(limits=Limits(wall_seconds=0.5, seconds_per_second=0)) as limited:
        medium = limited.open(healthy["plain"].path, Sampling.of_all())
        frames = iter(medium)
        next(frames)
        pid = limited.pid
        os.kill(pid, signal.SIGSTOP)
        assert status_of(lambda: list(frames)) == "timeout"
        assert gone(pid, 5)
        assert list(limited.open(healthy["plain"].path, FEW))


def test_the_time_limit_counts_waiting_not_work_done_with_frames(healthy: dict[str, Clip]) -> None:
    with DecodeSandbox(limits=Limits(wall_seconds=0.3, seconds_per_second=0)) as limited:
        for _ in limited.open(healthy["plain"].path, FEW):
            time.sleep(0.15)


def test_a_killed_child_costs_one_medium(healthy: dict[str, Clip]) -> None:
    with DecodeSandbox() as opened:
        frames = iter(opened.open(healthy["plain"].path, Sampling.of_all()))
        next(frames)
        os.kill(opened.pid, signal.SIGKILL)
        with pytest.raises(MediaError, match=r"crashed: the decoder died \(signal SIGKILL\)"):
            list(frames)
        assert len(list(opened.open(healthy["plain"].path, FEW))) == 4


def test_a_child_that_dies_idle_costs_nothing(healthy: dict[str, Clip]) -> None:
    with DecodeSandbox() as opened:
        os.kill(opened.pid, signal.SIGKILL)
        assert gone(opened._child.process.pid, 5) if opened._child else False
        assert len(list(opened.open(healthy["plain"].path, FEW))) == 4


def test_used_up_cpu_seconds_are_a_timeout(healthy: dict[str, Clip]) -> None:
    """The signal is the one that the kernel sends; test_protection lets a process really use them up."""
    with DecodeSandbox() as opened:
        frames = iter(opened.open(healthy["plain"].path, Sampling.of_all()))
        next(frames)
        os.kill(opened.pid, signal.SIGXCPU)
        with pytest.raises(MediaError, match="timeout: the decoder used up its CPU seconds"):
            list(frames)


def test_memory_is_limited(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "big.mp4", frames=2, size=(4096, 4096))
    pixels = 4096 * 4096
    with DecodeSandbox(limits=Limits(max_pixels=pixels, memory_bytes=420 * MEBIBYTE)) as limited:
        with pytest.raises(MediaError, match="too_large: decoding it needs more memory than the limit"):
            list(limited.open(clip.path, FEW))
        assert list(limited.open(make_clip(tmp_path / "small.mp4", frames=2).path, FEW))


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(max_pixels=192 * 128 - 1), "192x128 pixels"),
        (Limits(max_seconds=1.19), "1 s long"),
        (Limits(max_bytes=1000), "bytes; the limit is 1000"),
        (Limits(max_streams=0), "1 streams"),
        (Limits(max_frames=29), "more than 29 pictures"),
    ],
)
def test_one_past_each_limit_is_too_large(healthy: dict[str, Clip], limits: Limits, words: str) -> None:
    with DecodeSandbox(limits=limits) as limited:
        with pytest.raises(MediaError, match=words) as caught:
            list(limited.open(healthy["plain"].path, Sampling.of_all()))
        assert caught.value.status == "too_large"


def test_at_each_limit_all_is_well(healthy: dict[str, Clip]) -> None:
    clip = healthy["plain"]
    exact = Limits(
        max_pixels=192 * 128,
        max_seconds=1.2,
        max_bytes=clip.path.stat().st_size,
        max_streams=1,
        max_frames=clip.frames,
    )
    with DecodeSandbox(limits=exact) as limited:
        assert len(list(limited.open(clip.path, Sampling.of_all()))) == clip.frames


def test_the_child_dies_with_its_parent(healthy: dict[str, Clip]) -> None:
    """Also when the parent is killed outright, in the middle of a medium."""
    script = (
        "import sys, time\n"
        "from ffpipe.stages.decode.sandbox import DecodeSandbox\n"
        "from ffpipe.stages.sampling import Sampling\n"
        "sandbox = DecodeSandbox()\n"
        "frames = iter(sandbox.open(sys.argv[1], Sampling.of_all()))\n"
        "next(frames)\n"
        "print(sandbox.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(healthy["plain"].path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid, 0.1)
        parent.kill()
        assert gone(pid, 5)


def test_the_child_has_no_network_and_no_torch(sandbox: DecodeSandbox, healthy: dict[str, Clip]) -> None:
    assert list(sandbox.open(healthy["rotated_90"].path, FEW))
    child = Path(f"/proc/{sandbox.pid}")
    cut_off = (child / "ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    filtered = "Seccomp:\t2" in (child / "status").read_text()
    assert cut_off or filtered, "neither a network namespace of its own nor a filter"
    assert "no network" in sandbox.protection.network
    maps = (child / "maps").read_text()
    assert "libtorch" not in maps
    assert "libavformat" in maps


def test_the_child_ignores_the_current_folder(
    tmp_path: Path, healthy: dict[str, Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("models", "stages", "av", "numpy", "ffpipe", "json"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package')")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.mp4").write_bytes(healthy["plain"].path.read_bytes())
    with DecodeSandbox() as opened:
        assert len(list(opened.open("here.mp4", FEW))) == 4


def test_protection_is_described_for_people() -> None:
    line = active_protection().describe()
    assert line.startswith("killed with its parent; ")
    assert "4096 MiB" in line


def test_the_environment_that_cannot_start_a_child_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffpipe.stages.confined._BOOT", "raise SystemExit('no such library')")
    with pytest.raises(MediaError, match="does not start .exit code 1.: no such library"):
        DecodeSandbox().open("any.mp4")


def test_memory_stays_flat_over_many_media(healthy: dict[str, Clip]) -> None:
    def resident(pid: int) -> int:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096

    with DecodeSandbox() as opened:
        for _ in range(30):
            list(opened.open(healthy["plain"].path, FEW))
        before = resident(opened.pid)
        for _ in range(200):
            list(opened.open(healthy["plain"].path, FEW))
        assert resident(opened.pid) - before < 8 * MEBIBYTE
