"""Watching a folder: the rows of one scoring, however files arrive and whatever ends it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from names import NAMES
from processes import wait_until
from small_weights import make_linear_weights
from tiny_scoring import picture

from ffpipe.manifests.errors import LockedError, StorageError, UsageError
from ffpipe.manifests.records import ReportRow
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline import cli, tables, watching
from ffpipe.pipeline.config import ScoreConfig, WatchConfig
from ffpipe.pipeline.interrupts import HOW_TO_GO_ON
from ffpipe.pipeline.run_rows import RunRows
from ffpipe.pipeline.score import ScoreJob, run_shards, score
from ffpipe.pipeline.table_reading import read_table
from ffpipe.pipeline.workspace import Workspace

#: Pictures taken as crops, since looking for faces is not what is watched here.
QUICK: dict[str, Any] = {"engine": "local", "workers": 0, "cropped": True, "accept_crops": True}
FULL = "cannot write r.parquet: No space left on device"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_linear_weights(tmp_path_factory.mktemp("weights") / "model")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Pictures of different content."""
    folder = tmp_path_factory.mktemp("pictures")
    whole = picture(folder / "0.png").read_bytes()
    return [whole + bytes([number]) for number in range(4)]


class Place:
    """A watched folder with its workspace and report, and what a watch told and said."""

    def __init__(self, root: Path, weights: Path, pictures: list[bytes], patch: pytest.MonkeyPatch) -> None:
        self.root, self.weights, self.pictures, self._patch = root, weights, pictures, patch
        self.folder, self.out = root / "in", root / "r.parquet"
        self.folder.mkdir()
        self.told: list[ReportRow] = []
        self.said: list[str] = []

    def put(self, name: str, number: int = 0) -> Path:
        path = self.folder / name
        path.write_bytes(self.pictures[number])
        return path

    def watch(self, *steps: Callable[[], object], once: bool = False, **more: Any) -> int:
        """Watch with a clock of its own: a step of the test after each look, and Ctrl-C after the last."""
        now, left = 0.0, list(steps)

        def sleep(seconds: float) -> None:
            nonlocal now
            now += 60
            if not left and not once:
                raise KeyboardInterrupt
            if left:
                left.pop(0)()

        clock = SimpleNamespace(monotonic=lambda: now, sleep=sleep)
        self._patch.setattr(watching, "time", clock)
        config = WatchConfig.build({"weights": self.weights, **QUICK, **more.pop("settings", {})})
        given: dict[str, Any] = {"out": self.out, "tell": self.told.extend, "say": self.said.append, **more}
        return watching.watch(str(self.folder), config, Workspace(self.root / "ws"), once=once, **given)

    def interrupted(self, *steps: Callable[[], object], **more: Any) -> None:
        with pytest.raises(KeyboardInterrupt):
            self.watch(lambda: None, *steps, lambda: None, **more)

    def names(self) -> list[str]:
        return [Path(row.path).name for row in self.told]

    def report(self) -> dict[str, dict[str, Any]]:
        rows = pq.read_table(self.out).to_pylist()
        assert len({row["path_bytes"] for row in rows}) == len(rows)
        return {Path(row["path"]).name: row for row in rows}


@pytest.fixture
def place(tmp_path: Path, weights: Path, pictures: list[bytes], monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, weights, pictures, monkeypatch)


def files(out: Path) -> Iterator[list[dict[str, Any]]]:
    for path in (out, tables.companion(out, "tracks"), tables.companion(out, "scores")):
        rows = pq.read_table(path).to_pylist()
        yield [{name: value for name, value in row.items() if name != "provenance_id"} for row in rows]


def assert_as_scored(place: Place) -> None:
    """The report is that of one scoring of the folder in a workspace of its own, row for row and in its order."""
    other = place.root / "scored"
    other.mkdir()
    config = ScoreConfig.build({"weights": place.weights, **QUICK})
    result = score(
        [place.folder], config, Workspace(other / "ws"), out=other / "r.parquet", say=lambda line: None
    )
    assert result.report.num_rows
    assert list(files(place.out)) == list(files(other / "r.parquet"))


def test_once_gives_every_file_the_row_of_one_scoring(place: Place) -> None:
    names = [os.fsdecode(name) for name in NAMES if b"/" not in name]
    for number, name in enumerate(names):
        content = place.pictures[number % 2] if number % 3 else b"no picture"
        (place.folder / name).write_bytes(content)
    (place.folder / "deep").mkdir()
    place.put("deep/a.png", 2)
    place.put("late.png.part", 3)
    os.mkfifo(place.folder / "pipe.mp4")
    (place.folder / "link.png").symlink_to("deep/a.png")
    (place.folder / "notes.txt").write_text("companion")
    assert place.watch(once=True) == 3
    (place.folder / "late.png.part").unlink()
    assert len(place.told) == len(names) + 3 == len(place.report())
    assert_as_scored(place)


def test_nothing_there_is_no_failure_and_no_report(place: Place) -> None:
    assert place.watch(once=True) == 0
    assert place.told == [] and not place.out.exists()


def test_what_arrives_slowly_renamed_or_many_at_once_is_told_when_it_is_whole(place: Place) -> None:
    seen: list[list[str]] = []

    def grow() -> None:
        seen.append(place.names())
        with (place.folder / "slow.png").open("ab") as file:
            file.write(b"more")

    def rename() -> None:
        (place.folder / "a.png.part").rename(place.folder / "a.png")

    def many() -> None:
        seen.append(place.names())
        for number in range(20):
            place.put(f"many {number:02}.png", number % 4)

    place.put("slow.png", 1)
    place.put("a.png.part", 2)
    with pytest.raises(KeyboardInterrupt):
        place.watch(grow, grow, rename, many, lambda: None, lambda: None)
    assert [sorted(names) for names in seen] == [[], [], ["a.png", "slow.png"]]
    assert sorted(place.names()) == sorted(["slow.png", "a.png", *(f"many {n:02}.png" for n in range(20))])
    assert_as_scored(place)


def test_the_network_is_loaded_once_and_idle_looks_do_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: dict[str, int] = {"build": 0, "hash": 0, "write": 0}

    def counted(name: str, action: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            counts[name] += 1
            return action(*arguments, **more)

        return call

    monkeypatch.setattr(ScoreJob, "build", counted("build", ScoreJob.build))
    monkeypatch.setattr(watching, "items_of", counted("hash", watching.items_of))
    monkeypatch.setattr(tables, "write_report", counted("write", tables.write_report))
    place.put("a.png")
    place.interrupted(lambda: None, lambda: place.put("b.png", 1), *[lambda: None] * 9)
    assert place.names() == ["a.png", "b.png"]
    assert counts == {"build": 1, "hash": 2, "write": 2}


def test_what_changes_has_one_row_of_its_new_content_and_what_goes_keeps_its_row(place: Place) -> None:
    changing, going = place.put("changing.png", 0), place.put("going.png", 1)
    first: dict[str, Any] = {}

    def change() -> None:
        first.update(place.report())
        place.put("changing.png", 2)
        going.unlink()

    def back() -> None:
        place.put("changing.png", 0)
        os.utime(changing, (2e9, 2e9))

    place.interrupted(change, lambda: None, lambda: first.update(between=place.report()), back, lambda: None)
    between = first.pop("between")
    assert between["going.png"] == first["going.png"]
    assert between["changing.png"]["sha256"] != first["changing.png"]["sha256"]
    assert place.report() == first
    assert sorted(place.names()) == ["changing.png", "changing.png", "going.png"]
    place.told.clear()
    place.interrupted()
    assert place.report() == first
    assert place.told == []


def test_a_file_that_changes_under_the_decoder_is_scored_when_it_has_come_to_rest(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("a.png", 0)
    items_of = watching.items_of
    touched: list[Path] = []

    def touching(*arguments: Any) -> Any:
        items = items_of(*arguments)
        if not touched:
            touched.append(place.put("a.png", 1))
        return items

    monkeypatch.setattr(watching, "items_of", touching)
    place.interrupted(*[lambda: None] * 4)
    assert place.names() == ["a.png"]
    assert any("changed or went while it was looked at" in line for line in place.said)
    assert_as_scored(place)


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("at", [pytest.param(0, marks=pytest.mark.slow), 3])
def test_after_a_kill_the_next_watch_goes_on_and_tells_what_was_not_told(place: Place, at: int) -> None:
    for number in range(6):
        place.put(f"{number}.png", number % 4)

    def dying(rows: list[ReportRow]) -> None:
        place.told.extend(rows)
        if len(place.told) > at:
            place.told.pop()
            raise Killed

    with pytest.raises(Killed):
        place.watch(lambda: None, lambda: None, tell=dying)
    committed = len(RunRows(shards_of(place)).below(str(place.folder)))
    assert at < committed <= 6
    place.interrupted()
    assert set(place.names()) == {f"{number}.png" for number in range(6)}
    assert len(place.report()) == 6
    assert_as_scored(place)


def shards_of(place: Place) -> ShardGroup:
    (root,) = (place.root / "ws" / "scores").iterdir()
    return run_shards(root)


def test_score_and_watch_are_one_run(place: Place) -> None:
    place.put("a.png")
    config = ScoreConfig.build({"weights": place.weights, **QUICK})
    score([str(place.folder)], config, Workspace(place.root / "ws"), out=place.out, say=lambda line: None)
    place.put("b.png", 1)
    assert place.watch(once=True) == 0
    assert place.names() == ["b.png"]
    assert len(list((place.root / "ws" / "scores").iterdir())) == 1
    assert_as_scored(place)


@pytest.mark.slow
def test_rows_of_other_folders_in_the_same_run_are_not_in_its_report(place: Place) -> None:
    (place.root / "in other").mkdir()
    (place.root / "in other" / "x.png").write_bytes(place.pictures[3])
    config = ScoreConfig.build({"weights": place.weights, **QUICK})
    given = [str(place.root / "in other")]
    score(given, config, Workspace(place.root / "ws"), out=place.out, say=lambda line: None)
    place.put("a.png", 3)
    assert place.watch(once=True) == 0
    assert set(place.report()) == {"a.png"}


def test_a_second_watch_of_the_folder_or_the_report_is_refused(place: Place) -> None:
    refusals: list[str] = []

    def second(folder: Path, out: Path) -> None:
        config = WatchConfig.build({"weights": place.weights, **QUICK})
        with pytest.raises(LockedError) as refused:
            watching.watch(
                str(folder), config, Workspace(place.root / "ws"), out=out, tell=place.told.extend,
                say=lambda line: None,
            )  # fmt: skip
        refusals.append(refused.value.message)

    (place.root / "elsewhere").mkdir()
    (place.root / "link").symlink_to("in")
    place.interrupted(
        lambda: second(place.root / "link", place.root / "other.parquet"),
        lambda: second(place.root / "elsewhere", place.out),
    )
    assert refusals[0] == f"another run is watching {place.folder}; wait for it or stop it"
    assert refusals[1] == f"another run is writing to {place.out}; wait for it or stop it"
    assert list((place.root / "ws" / "watching").iterdir()) == []


def test_a_full_disk_is_waited_for_and_nothing_is_lost(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = {"commit": 2, "write": 2}

    def failing(name: str, action: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            if failures[name]:
                failures[name] -= 1
                raise StorageError(FULL)
            return action(*arguments, **more)

        return call

    monkeypatch.setattr(ShardGroup, "commit", failing("commit", ShardGroup.commit))
    monkeypatch.setattr(tables, "write_report", failing("write", tables.write_report))
    place.put("a.png")
    place.put("b.png", 1)
    place.interrupted(*[lambda: None] * 8)
    assert sorted(place.names()) == ["a.png", "b.png"]
    assert sum("goes on when there is room" in line for line in place.said) == 2
    assert_as_scored(place)


@pytest.mark.parametrize(
    ("once", "words"), [(True, FULL), (False, "cannot write r.parquet: Read-only file system")]
)
def test_what_waiting_does_not_mend_ends_the_watch(
    place: Place, monkeypatch: pytest.MonkeyPatch, once: bool, words: str
) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise StorageError(words)

    monkeypatch.setattr(tables, "write_report", failing)
    place.put("a.png")
    with pytest.raises(StorageError, match=words):
        place.watch(*[lambda: None] * 8, once=once)


def test_a_folder_that_goes_away_is_waited_for(place: Place) -> None:
    place.put("a.png")
    away = place.root / "away"
    place.interrupted(
        lambda: place.folder.rename(away),
        lambda: None,
        lambda: away.rename(place.folder) and place.put("b.png", 1),
        lambda: None,
    )
    assert [line.rpartition(" cannot ")[2] for line in place.said if "cannot be read" in line] == [
        "be read; waiting until it can"
    ]
    assert set(place.report()) == {"a.png", "b.png"}


def test_pages_follow_what_arrives_and_one_is_written_anew_where_its_rows_are_others(place: Place) -> None:
    folder = place.folder / "pages"
    seen: list[dict[str, int]] = []

    def look() -> None:
        seen.append({path.stem: path.stat().st_mtime_ns for path in folder.rglob("*.html")})

    def copy() -> None:
        look()
        place.put("copy of b.png", 1)

    place.put("a.png", 0)
    place.interrupted(
        look, lambda: place.put("b.png", 1), lambda: None, copy, lambda: None, look, report=folder, out=None
    )
    ids = {Path(row.path).name: row.media_id for row in place.told}
    before, two, three = seen
    assert before.keys() == {"index", ids["a.png"]}
    assert two.keys() == three.keys() == {"index", ids["a.png"], ids["b.png"]}
    assert {name for name in two if two[name] != three[name]} == {"index", ids["b.png"]}
    assert three[ids["a.png"]] == before[ids["a.png"]]
    page = (folder / "videos" / f"{ids['b.png']}.html").read_text()
    assert "Copy of the same content" in page and "copy of b.png" in page
    assert not {"index.html", f"{ids['a.png']}.html"} & set(place.names())


@pytest.mark.slow
def test_its_own_files_are_no_inputs(place: Place) -> None:
    place.out = place.folder / "r.csv"
    place.put("a.png")
    place.interrupted(lambda: None, lambda: place.put("b.png", 1), lambda: None, lambda: None)
    assert read_table(place.out, "report").column("path").to_pylist() == [
        str(place.folder / name) for name in ("a.png", "b.png")
    ]


def test_once_leaves_out_what_never_comes_to_rest(place: Place) -> None:
    place.put("a.png")
    slow = place.put("slow.png", 1)
    with slow.open("ab"):
        assert place.watch(once=True) == 0
    assert place.names() == ["a.png"]
    assert any(line.startswith("left out: 1 that did not come to rest, or ") for line in place.said)


def test_once_names_what_it_leaves_out_for_its_name(place: Place) -> None:
    place.put("a.png")
    place.put("b.png.part", 1)
    assert place.watch(once=True) == 0
    assert place.names() == ["a.png"]
    assert any(line.startswith("left out: 1 that") for line in place.said)


def test_once_over_a_folder_that_goes_away_is_no_success(place: Place) -> None:
    place.put("a.png")
    with pytest.raises(StorageError, match="in: cannot be read"):
        place.watch(lambda: place.folder.rename(place.root / "away"), once=True)


def test_what_is_no_folder_is_refused(place: Place, tmp_path: Path) -> None:
    config = WatchConfig.build({"weights": place.weights, **QUICK})
    with pytest.raises(UsageError, match="no such folder; give one to watch"):
        watching.watch(
            str(place.put("a.png")),
            config,
            Workspace(tmp_path),
            tell=place.told.extend,
            say=place.said.append,
        )


def test_the_settings_of_watching_are_not_those_of_the_run() -> None:
    config = WatchConfig(settle=1, poll=9)
    assert type(config.scoring()) is ScoreConfig
    assert config.digest() == ScoreConfig().digest()


@pytest.mark.slow
def test_the_command_line_prints_a_line_or_a_row_of_json_for_each_verdict(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.put("a.png")
    given = [
        "watch",
        str(place.folder),
        "--once",
        "--settle",
        "0",
        "--poll",
        "0.01",
        "--weights",
        str(place.weights),
    ]
    given += ["--engine", "local", "--workers", "0", "--cropped", "--accept-crops"]
    assert cli.run([*given, "--workspace", str(place.root / "ws")]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"?? inconclusive  {place.folder}/a.png  0.")
    assert cli.run([*given, "--workspace", str(place.root / "ws 2"), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["verdict"] == "inconclusive"
    assert cli.run(["watch", str(place.folder), "--settle", "-1"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_watch_that_is_ended_and_started_again_is_one_scoring(place: Place, number: int) -> None:
    for each in range(12):
        place.put(f"{each:02}.png", each % 4)
    command = [
        sys.executable, "-m", "ffpipe", "watch", str(place.folder), "--out", str(place.out), "--settle", "0.5",
        "--poll", "0.2", "--weights", str(place.weights), "--engine", "local", "--workers", "2", "--cropped",
        "--accept-crops", "--workspace", str(place.root / "ws"),
    ]  # fmt: skip
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(number)
        _, said = process.communicate(timeout=300)
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert said.splitlines()[-1] == HOW_TO_GO_ON
        assert place.report()
    ended = subprocess.run([*command, "--once"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert_as_scored(place)


@pytest.mark.slow
def test_files_are_scored_by_warm_processes_as_they_come(place: Place) -> None:
    command = [
        sys.executable, "-m", "ffpipe", "watch", str(place.folder), "--out", str(place.out), "--settle", "0.5",
        "--poll", "0.2", "--weights", str(place.weights), "--engine", "local", "--workers", "1", "--cropped",
        "--accept-crops", "--workspace", str(place.root / "ws"), "--json",
    ]  # fmt: skip
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout is not None
        for number in range(3):
            staged = place.put(f".{number}.png", number)
            shutil.move(staged, place.folder / f"{number}.png")
            row = json.loads(process.stdout.readline())
            assert Path(row["path"]).name == f"{number}.png"
        assert wait_until(lambda: place.out.exists() and len(place.report()) == 3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 130
    assert_as_scored(place)
