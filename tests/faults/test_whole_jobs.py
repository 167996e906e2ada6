"""Whole jobs under kills, interrupts, full disks and read-only media: resumed, they end as if nothing had been."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from processes import cmdline, descendants, family_of, wait_until, wait_until_gone
from whole_jobs import WholeJob, assert_same, degrade_job, extract_job, score_job

from ffpipe.pipeline.interrupts import HOW_TO_GO_ON, INTERRUPTED

pytestmark = pytest.mark.slow
FORKED = Path(__file__).parent.parent / "forked_jobs.py"
JOBS = ("extract", "score", "degrade")
#: Kills of one job, and the homes that they are spread over.
KILLS, HOMES = 20, 4


@pytest.fixture(scope="module")
def pair(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of the clips."""
    root = tmp_path_factory.mktemp("pair") / "set"
    for place in ("real/0.mp4", "fake/1.mp4"):
        (root / place).parent.mkdir(parents=True)
        shutil.copy(source / place, root / place)
    return root


@pytest.fixture
def job(request: pytest.FixtureRequest, weights: Path) -> WholeJob:
    made = {"extract": extract_job, "score": lambda: score_job(weights), "degrade": degrade_job}
    return made[request.param]()


@pytest.mark.parametrize(
    ("job", "engine", "kills"),
    [
        ("extract", "local", KILLS),
        ("score", "local", KILLS),
        ("degrade", "local", 8),
        pytest.param("score", "ray", 6, marks=pytest.mark.ray),
    ],
    indirect=["job"],
)
def test_kills_of_the_driver_spread_over_the_run(
    job: WholeJob, engine: str, kills: int, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    began = time.monotonic()
    whole = job.finish(source, tmp_path / "whole", engine)
    seconds = time.monotonic() - began
    rng = random.Random(5)
    moments = [seconds * (k + rng.random()) / kills for k in range(kills)]
    rng.shuffle(moments)
    hit = 0
    for k in range(HOMES):
        home = tmp_path / f"home-{k}"
        home.mkdir()
        for moment in moments[k::HOMES]:
            driver = subprocess.Popen(job.command(source, home, engine), stderr=subprocess.DEVNULL)
            wait_until(lambda driver=driver: driver.poll() is not None, moment)
            below = family_of(driver.pid)
            hit += driver.poll() is None
            driver.kill()
            driver.wait()
            assert not wait_until_gone(below)
        assert_same(job.finish(source, home), whole)
    assert hit >= HOMES, "the first kill of each home meets a run at the least"


@pytest.mark.parametrize("job", ["extract", "score"], indirect=True)
def test_a_kill_in_front_of_single_steps_of_a_whole_job(job: WholeJob, pair: Path, tmp_path: Path) -> None:
    arguments = job.arguments(pair, Path("HOME"), workers=0)
    ended = subprocess.run(
        [sys.executable, str(FORKED), "kills", str(tmp_path), *arguments], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    codes = json.loads(ended.stdout)
    assert len(codes) == 12
    whole = job.outcome(tmp_path / "whole")
    for step, (code, said) in codes.items():
        assert code == 0, (step, said)
        assert_same(job.outcome(tmp_path / step), whole)


@pytest.mark.parametrize("job", JOBS, indirect=True)
@pytest.mark.parametrize("how", ["SIGTERM", "Ctrl-C", "Ctrl-C twice"])
def test_an_interrupt_during_work(job: WholeJob, how: str, source: Path, tmp_path: Path) -> None:
    """Ctrl-C goes to the whole group of processes, as from a keyboard."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "home").mkdir()
    driver = job.underway(source, tmp_path / "home", start_new_session=True)
    below = family_of(driver.pid)
    if how == "SIGTERM":
        driver.terminate()
    else:
        os.killpg(driver.pid, signal.SIGINT)
        if how.endswith("twice"):
            os.killpg(driver.pid, signal.SIGINT)
    _, said = driver.communicate(timeout=600)
    assert driver.returncode == INTERRUPTED, said
    assert said.count(HOW_TO_GO_ON) == 1, said
    assert "Traceback" not in said
    assert not wait_until_gone(below)
    assert_same(job.finish(source, tmp_path / "home"), job.finish(source, tmp_path / "whole"))


@pytest.mark.parametrize("job", ["extract", "score"], indirect=True)
def test_ctrl_c_while_workers_start_and_while_a_large_file_is_hashed(
    job: WholeJob, source: Path, tmp_path: Path
) -> None:
    starting = tmp_path / "starting"
    starting.mkdir()
    driver = subprocess.Popen(
        job.command(source, starting), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert wait_until(lambda: any(b"spawn_main" in cmdline(pid) for pid in descendants(driver.pid)))
    os.killpg(driver.pid, signal.SIGINT)
    _, said = driver.communicate(timeout=600)
    assert driver.returncode == INTERRUPTED, said
    assert said.count(HOW_TO_GO_ON) == 1
    assert "Traceback" not in said
    large = tmp_path / "large"
    shutil.copytree(source, large)
    with (large / "real/large.mp4").open("wb") as file:
        file.truncate(64 << 30)
    home = tmp_path / "hashing"
    home.mkdir()
    driver = subprocess.Popen(job.command(large, home), stderr=subprocess.PIPE, text=True)
    assert driver.stderr is not None
    assert any("hashing" in line for line in driver.stderr)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(300) == INTERRUPTED
    assert driver.stderr.read().count(HOW_TO_GO_ON) == 1
    (large / "real/large.mp4").unlink()
    (tmp_path / "whole").mkdir()
    assert_same(job.finish(large, home), job.finish(large, tmp_path / "whole"))


@pytest.fixture(scope="module")
def namespaces() -> None:
    allowed = (
        subprocess.run(["unshare", "-rm", "true"], capture_output=True) if shutil.which("unshare") else None
    )
    if allowed is None or allowed.returncode:
        pytest.skip("this machine does not let its users make mount namespaces")


def inside(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a mount namespace of its own; "$@" are the arguments."""
    return subprocess.run(
        ["unshare", "-rm", "sh", "-ec", script, "sh", *arguments],
        capture_output=True,
        text=True,
        timeout=1800,
    )


@pytest.mark.parametrize("job", JOBS, indirect=True)
def test_a_full_disk_wherever_it_fills_up(
    job: WholeJob, pair: Path, tmp_path: Path, namespaces: None
) -> None:
    """Everything that is written lies on a small tmpfs, which gets a little more room after each run that failed."""
    disk, kept, whole = tmp_path / "disk", tmp_path / "kept", tmp_path / "whole"
    for folder in (disk, kept, whole):
        folder.mkdir()
    arguments = job.arguments(pair, disk, workers=0)
    script = 'mount -t tmpfs -o size=8k tmpfs "$1"; kept="$2"; shift 2; "$@"; cp -a "$DISK/." "$kept"'
    ended = inside(
        f'DISK="$1"; {script}', str(disk), str(kept), sys.executable, str(FORKED), "grow", str(disk), "8192", "1.3",
        *arguments,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-2000:]
    *failed, (_, code, last) = json.loads(ended.stdout)
    assert code == 0, last
    assert len(failed) > 5
    for size, rc, line in failed:
        assert rc == 74, (size, line)
        assert line.startswith("ffpipe: error: cannot "), (size, line)
        assert str(disk) in line and ("No space" in line or "full" in line), (size, line)
    assert_same(job.outcome(kept), job.finish(pair, whole))


@pytest.mark.parametrize("job", JOBS, indirect=True)
def test_full_folders_of_the_system_harm_nothing(
    job: WholeJob, pair: Path, tmp_path: Path, namespaces: None
) -> None:
    """What children share is memory without a name, in neither of them."""
    home, folder = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    folder.mkdir()
    script = (
        'mount -t tmpfs -o size=4k tmpfs "$1"; mount -t tmpfs -o size=4k tmpfs /dev/shm; export TMPDIR="$1"; '
        'head -c 4096 /dev/zero >"$1/x"; head -c 4096 /dev/zero >/dev/shm/x; shift; "$@"'
    )
    ended = inside(script, str(folder), *job.command(pair, home))
    assert ended.returncode == 0, ended.stderr
    (tmp_path / "whole").mkdir()
    assert_same(job.outcome(home), job.finish(pair, tmp_path / "whole"))


def listing(root: Path) -> dict[str, tuple[Any, ...]]:
    """Every name below a folder, with content and all facts but the time of the last read."""
    found = {}
    for path in sorted(root.rglob("*")):
        facts = path.lstat()
        content = sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(root))] = (
            facts.st_mode, facts.st_ino, facts.st_nlink, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, content,
        )  # fmt: skip
    return found


@pytest.mark.parametrize("job", JOBS, indirect=True)
def test_inputs_are_only_read(job: WholeJob, pair: Path, tmp_path: Path, namespaces: None) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "bound").mkdir()
    before = listing(pair)
    whole = job.finish(pair, tmp_path / "home")
    assert listing(pair) == before, "nothing is written beside the inputs, and nothing of them touched"
    script = 'mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"; ! touch "$1/x" 2>/dev/null; shift; "$@"'
    ended = inside(script, str(pair), *job.command(pair, tmp_path / "bound"))
    assert ended.returncode == 0, ended.stderr
    assert_same(job.outcome(tmp_path / "bound"), whole)


@pytest.mark.parametrize("job", JOBS, indirect=True)
def test_a_read_only_output_is_one_line_and_nothing_is_lost(
    job: WholeJob, pair: Path, tmp_path: Path, namespaces: None
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    script = 'mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"; shift; "$@"'
    for _ in range(2):
        ended = inside(script, str(home), *job.command(pair, home))
        assert ended.returncode == 74, ended.stderr
        last = ended.stderr.strip().splitlines()[-1]
        assert last.startswith("ffpipe: error: cannot ") and "Read-only file system" in last
        assert str(home) in last
        whole = job.finish(pair, home)
    (tmp_path / "whole").mkdir()
    assert_same(whole, job.finish(pair, tmp_path / "whole"))


@pytest.mark.parametrize("job", JOBS, indirect=True)
def test_an_output_that_is_deleted_under_the_run_is_one_line(
    job: WholeJob, source: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    driver = job.underway(source, home)
    while home.exists() and driver.poll() is None:
        shutil.rmtree(home, ignore_errors=True)
    _, said = driver.communicate(timeout=600)
    assert driver.returncode == 74, said
    assert said.strip().splitlines()[-1].startswith("ffpipe: error: ")
    assert "Traceback" not in said and "a bug" not in said
    home.mkdir()
    (tmp_path / "whole").mkdir()
    assert_same(job.finish(source, home), job.finish(source, tmp_path / "whole"))


@pytest.mark.parametrize("job", ["score"], indirect=True)
def test_a_report_that_became_a_folder_is_named_and_what_was_scored_is_kept(
    job: WholeJob, source: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    driver = job.underway(source, home)
    (home / "r.parquet").mkdir()
    _, said = driver.communicate(timeout=600)
    assert driver.returncode in (2, 74), said
    assert str(home / "r.parquet") in said.strip().splitlines()[-1]
    (home / "r.parquet").rmdir()
    (tmp_path / "whole").mkdir()
    resumed = subprocess.run(job.command(source, home), capture_output=True, text=True)
    assert "8 done before; 0 to do" in resumed.stderr
    assert_same(job.outcome(home), job.finish(source, tmp_path / "whole"))


@pytest.mark.parametrize("job", JOBS, indirect=True)
def test_a_second_run_on_one_output_is_refused_and_the_first_is_undisturbed(
    job: WholeJob, source: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    first = job.underway(source, home)
    first.send_signal(signal.SIGSTOP)
    second = subprocess.run(job.command(source, home), capture_output=True, text=True)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 2, second.stderr
    assert "another run is writing to" in second.stderr.strip().splitlines()[-1]
    assert first.communicate(timeout=600) and first.returncode == 0
    (tmp_path / "whole").mkdir()
    assert_same(job.outcome(home), job.finish(source, tmp_path / "whole"))


def test_two_runs_of_one_workspace_with_other_reports_go_side_by_side(
    weights: Path, source: Path, tmp_path: Path
) -> None:
    job = score_job(weights)
    reports = [tmp_path / f"{name}.parquet" for name in "ab"]
    commands = [
        [
            argument.replace(str(tmp_path / "r.parquet"), str(report))
            for argument in job.command(source, tmp_path)
        ]
        for report in reports
    ]
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    said = [run.communicate(timeout=900)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    import pyarrow.parquet as pq

    first, second = (pq.read_table(report).drop_columns("provenance_id") for report in reports)
    assert first.equals(second)
