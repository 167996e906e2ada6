"""A made-up paper's protocol from its trainings to the tables: resuming, reuse, and what cannot be run."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from protocol_data import write_ffpp, write_part
from twin_detectors import Twin, TwinStudent

from ffpipe.manifests.errors import LockedError
from ffpipe.manifests.records import Label, Split
from ffpipe.manifests.run_lock import RunLock
from ffpipe.models import registry
from ffpipe.pipeline import cli
from ffpipe.pipeline.config import ReproduceConfig
from ffpipe.pipeline.evaluation.openings import read_openings
from ffpipe.pipeline.reproduction.job import Reproduction, reproduce
from ffpipe.pipeline.reproduction.protocols import PROTOCOLS
from ffpipe.pipeline.reproduction.protocols.protocol import ACC, AUC, Printed, Protocol, Training, Trial
from ffpipe.pipeline.reproduction.protocols.sources import CELEB_DF_V2, FFPP, by_key
from ffpipe.pipeline.reproduction.results import Outcome
from ffpipe.pipeline.workspace import Workspace

METHOD = ("Deepfakes",)
RAW, SMALL = (Trial(FFPP.key, quality, METHOD, 2) for quality in ("c0", "c40"))
MADE = Protocol(
    name="made",
    paper="Nobody: Nothing",
    sources=by_key(FFPP, CELEB_DF_V2),
    trainings=(
        Training("raw", "twin", FFPP.key, 2, "c0", METHOD),
        Training("taught", "twin-kd", FFPP.key, 2, "c40", METHOD, teacher="raw"),
        Training("wrong", "twin", FFPP.key, 2, "c40", METHOD, {"width": 99}),
        Training("wronged", "twin-kd", FFPP.key, 2, "c40", METHOD, teacher="wrong"),
    ),
    printed=(
        Printed(1, "ours", "c40", ACC, 0.9, "taught", SMALL),
        Printed(1, "ours", "c0", ACC, 0.9, "raw", RAW),
        Printed(1, "ours", "c0", AUC, 0.95, "raw", RAW),
        Printed(2, "ours", "Celeb-DF", AUC, 0.7, "raw", Trial(CELEB_DF_V2.key, frames=2)),
        Printed(3, "wrong", "c40", ACC, 0.8, "wrong", SMALL),
        Printed(3, "wronged", "c40", ACC, 0.8, "wronged", SMALL),
    ),
    notes=("nothing is | printed",),
)


@pytest.fixture(scope="module", autouse=True)
def _made():
    with pytest.MonkeyPatch.context() as patch:
        for detector in (Twin, TwinStudent):
            patch.setitem(registry._DETECTORS, detector.spec.name, detector)
        patch.setitem(PROTOCOLS, "made", MADE)
        yield


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ws")
    write_ffpp(Workspace(root), qualities=("c0", "c40"), methods=METHOD, clips=3, frames=2)
    return root


@pytest.fixture
def workspace(datasets: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(datasets, tmp_path / "ws")
    return Workspace(tmp_path / "ws")


def run(
    workspace: Workspace, said: list[str] | None = None, meter: Any = None, **settings: Any
) -> Reproduction:
    given = {"recipe": "quick", "epochs": 1, "engine": "local", "replicates": 100, **settings}
    heard = said if said is not None else []
    return reproduce("made", ReproduceConfig.build(given), workspace, heard.append, meter)


def figures(result: Reproduction) -> list[tuple[float | None, float | None, float | None]]:
    return [(found.ours, found.low, found.high) for found in result.results]


@pytest.fixture(scope="module")
def finished(datasets: Path, tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    """Tables 1 and 2, in a workspace that tests copy."""
    root = tmp_path_factory.mktemp("finished") / "ws"
    shutil.copytree(datasets, root)
    return run(Workspace(root), table=(1, 2))


def test_the_printed_figures_stand_beside_ours(finished: Reproduction) -> None:
    result = finished
    outcomes = [found.outcome for found in result.results]
    assert outcomes[3] is Outcome.NOT_RUN
    assert Outcome.NOT_RUN not in outcomes[:3]
    assert result.exit_code == 3
    assert result.results[0].run == "twin-kd/reproduce-quick-taught"
    assert result.results[3].reason == "no Celeb-DF v2 in the workspace"
    assert all(
        found.level == "frame" and (found.n_real, found.n_fake) == (6, 6) for found in result.results[:3]
    )
    student, teacher = (result.results[k].deviations for k in (0, 1))
    assert "1 epoch in place of 5" in teacher
    assert "train of FF++ at c40: 3 of 720 real, 3 of 720 Deepfakes" in student
    assert "teacher: train of FF++ at c0: 3 of 720 real, 3 of 720 Deepfakes" in student
    assert "FF++: the split is not its owner's (given)" in student

    stored = json.loads((result.directory / "figures.json").read_text())
    assert [row["outcome"] for row in stored["figures"]] == [*outcomes, "not run", "not run"]
    assert stored["headline"][1].startswith("a rehearsal")
    with (result.directory / "figures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["ours"]) for row in rows[:3]] == [found.ours for found in result.results[:3]]
    assert rows[3]["reason"] == "no Celeb-DF v2 in the workspace"
    page = (result.directory / "report.md").read_text()
    assert "## Table 1" in page
    assert "twin-kd/reproduce-quick-taught" in page


def test_the_same_command_again_neither_trains_nor_opens_the_test_split(
    finished: Reproduction, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "ws")
    shutil.copytree(finished.directory.parents[1], workspace.root)
    said: list[str] = []
    again = run(workspace, said, table=(1, 2))
    assert again.results[:3] == finished.results[:3]
    assert sum("is finished, with the same settings and data" in line for line in said) == 2
    assert sum(line.startswith("measured before") for line in said) == 2
    for found in again.results[:3]:
        assert len(read_openings(workspace.root / "models" / str(found.run))) == 1


@pytest.mark.parametrize(
    "part",
    [
        "train taught",
        pytest.param("train raw", marks=pytest.mark.slow),
        pytest.param("test taught", marks=pytest.mark.slow),
    ],
)
def test_what_was_interrupted_goes_on_to_the_same_figures(
    workspace: Workspace, finished: Reproduction, part: str
) -> None:
    @contextmanager
    def meter(name: str) -> Iterator[Any]:
        def stop(done: int, total: int, note: str) -> None:
            if name == part:
                raise KeyboardInterrupt

        yield stop

    with pytest.raises(KeyboardInterrupt):
        run(workspace, meter=meter, table=(1,))
    again = run(workspace, table=(1,))
    assert figures(again) == figures(finished)[:3]
    runs = sorted(path.parent.name for path in (workspace.root / "models").glob("*/*/job.json"))
    assert runs == ["reproduce-quick-raw", "reproduce-quick-taught"], "no run was begun twice"


def test_what_cannot_be_trained_costs_its_own_figures_and_its_students(
    finished: Reproduction, tmp_path: Path
) -> None:
    shutil.copytree(finished.directory.parents[1], tmp_path / "ws")
    result = run(Workspace(tmp_path / "ws"), table=(3,))
    assert result.exit_code == 4
    wrong, wronged = result.results
    assert "width=99" in wrong.reason
    assert wronged.reason == "its teacher, wrong, was not trained"
    kept = json.loads((result.directory / "figures.json").read_text())["figures"]
    assert [row["ours"] is not None for row in kept] == [True] * 3 + [False] * 3, "earlier figures stay"


@pytest.mark.slow
def test_other_data_make_another_run(workspace: Workspace) -> None:
    first = run(workspace, only=("raw",), table=(1,))
    folder = workspace.root / "datasets" / "FF++"
    job = (folder / "job.json").read_bytes()
    write_part(folder, Split.TRAIN, Label.FAKE, 90, quality="c0", method="Deepfakes")
    (folder / "job.json").write_bytes(job)
    second = run(workspace, only=("raw",), table=(1,))
    assert [found.results[0].run for found in (first, second)] == [
        "twin/reproduce-quick-raw",
        "twin/reproduce-quick-raw-2",
    ]
    assert run(workspace, only=("raw",), table=(1,)).results[0].run == "twin/reproduce-quick-raw-2"
    assert (
        run(workspace, only=("raw",), table=(1,), seed=3).results[0].run == "twin/reproduce-quick-raw-seed3"
    )


def test_a_dry_run_says_the_plan_and_writes_nothing(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "reproduce",
        "made",
        "--recipe",
        "quick",
        "--workspace",
        str(workspace.root),
        "--dry-run",
        "--json",
    ]
    assert cli.run(arguments) == 0
    out, err = capsys.readouterr()
    planned = json.loads(out)
    assert [(e["experiment"], e["state"], e["teacher"]) for e in planned["experiments"]][:2] == [
        ("raw", "to do", None),
        ("taught", "to do", "raw"),
    ]
    assert planned["missing"][0]["reason"] == "no Celeb-DF v2 in the workspace"
    assert planned["missing"][0]["commands"][0].startswith("ffpipe extract Celeb-DF-v2/ --frames 2")
    assert "5 of 6 printed figures can be measured, with 4 trainings" in err
    assert not (workspace.root / "models").exists()
    assert not (workspace.root / "reproductions").exists()


@pytest.mark.slow
def test_the_command_prints_each_figure_and_what_may_be_said(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.run(
        ["reproduce", "made", "--recipe", "quick", "--epochs", "1", "--engine", "local", "--table", "1", "--table", "2",
         "--only", "raw", "--workspace", str(workspace.root)]
    )  # fmt: skip
    err = " ".join(capsys.readouterr().err.split())
    assert code == 3
    assert "table 1, ours, c0 accuracy printed 0.9000 ours " in err
    assert "- table 2, ours, Celeb-DF AUC printed 0.7000 not run: no Celeb-DF v2 in the workspace" in err
    assert "reproduce nothing" in err


def test_two_at_once_are_refused(workspace: Workspace) -> None:
    folder = workspace.root / "reproductions" / "made-quick"
    folder.mkdir(parents=True)
    with RunLock(folder / "_lock"), pytest.raises(LockedError):
        run(workspace, meter=lambda _: nullcontext())


@pytest.mark.slow
def test_a_rehearsal_of_faclue_runs_on_made_up_faces(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_ffpp(workspace, clips=4)
    settings = ReproduceConfig(recipe="quick", table=(2,), epochs=1, engine="local", replicates=100)
    result = reproduce("faclue", settings, workspace, lambda line: None)
    assert [found.ours is not None for found in result.results] == [True, False, False]
    assert (result.results[0].n_real, result.results[0].n_fake) == (4, 4), "Deepfakes alone"
    again = reproduce("faclue", settings, workspace, lambda line: None)
    assert again.results == result.results
