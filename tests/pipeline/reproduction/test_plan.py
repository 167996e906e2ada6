"""Which experiments of a protocol can be run on what is there, in which order, and what is said of the others."""

from __future__ import annotations

from collections import Counter

import pytest
from protocol_data import mark, write_ffpp, write_part, write_simple

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, Split
from ffpipe.pipeline.config import ReproduceConfig
from ffpipe.pipeline.reproduction.data import Holdings
from ffpipe.pipeline.reproduction.plan import Plan, make_plan, select
from ffpipe.pipeline.reproduction.protocols import PROTOCOLS
from ffpipe.pipeline.reproduction.protocols.protocol import MEAN
from ffpipe.pipeline.workspace import Workspace


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Workspace:
    monkeypatch.setenv("FFPIPE_WORKSPACE", str(tmp_path))
    return Workspace.find()


def plan(workspace: Workspace, name: str, *only: str, table: tuple[int, ...] = ()) -> Plan:
    protocol = PROTOCOLS[name]
    holdings = Holdings(workspace, protocol, ReproduceConfig(), workspace.root / "splits")
    return make_plan(protocol, holdings, select(protocol, table, only))


def test_students_come_after_their_teachers_and_share_them(workspace: Workspace) -> None:
    write_ffpp(workspace, qualities=("c0", "c23"), methods=("Face2Face",))
    made = plan(workspace, "sffb-kd", "kd-f2f-*", table=(1,))
    assert [step.training.name for step in made.steps] == ["f2f-c0", "kd-f2f-c23"]
    teacher, student = made.steps
    assert teacher.measurements == ()
    assert [figure.value for m in student.measurements for figure in m.figures] == [0.9858]
    (lacks,) = {made.missing[figure] for figure in made.figures if figure in made.missing}
    assert [lack.reason for lack in lacks] == [
        "FF++ has no c40 (qualities: c0, c23): add its folders to /data/FF++, or make them"
    ]


def test_a_figure_without_data_names_all_that_it_lacks(workspace: Workspace) -> None:
    made = plan(workspace, "fssnet", table=(2,))
    assert made.steps == ()
    for lacks in made.missing.values():
        assert [lack.reason.split(" in the")[0] for lack in lacks] == [
            "no ForenSynths",
            "no the diffusion sets of Ojha et al. and DIRE",
        ]


def test_one_training_serves_every_table_that_shows_it(workspace: Workspace) -> None:
    write_ffpp(workspace)
    made = plan(workspace, "sfcl-hcmf", "c23")
    (step,) = made.steps
    (measurement,) = step.measurements
    assert Counter(figure.table for figure in measurement.figures) == {1: 2, 2: 1, 3: 1, 4: 1}
    assert {figure.table for figure in made.missing} == {2}, "Celeb-DF and DFDC"


def test_a_single_set_needs_no_other_but_the_mean_needs_all(workspace: Workspace) -> None:
    folder = workspace.root / "datasets" / "forensynths"
    for number, (part, label) in enumerate((part, label) for part in Split for label in Label):
        write_part(folder, part, label, number, method="progan" if label else None)
    write_part(folder, Split.TEST, Label.FAKE, 9, method="biggan")
    mark(folder, "forensynths", "/data/ForenSynths")
    made = plan(workspace, "fssnet", table=(1,))
    (step,) = made.steps
    (measurement,) = step.measurements
    assert set(measurement.methods) == {"progan", "biggan"}
    assert {figure.subset for figure in measurement.figures} == {"progan", "biggan"}
    assert MEAN in {figure.subset for figure in made.missing}
    assert len(made.missing) + len(measurement.figures) == len(made.figures) == 18


def test_faclue_trains_on_two_datasets_and_crosses_from_a_third(workspace: Workspace) -> None:
    write_ffpp(workspace)
    write_simple(workspace, "wild", "wilddeepfake", "/data/WildDeepfake")
    made = plan(workspace, "faclue", table=(1, 2))
    tests = {step.training.name: [m.data.name for m in step.measurements] for step in made.steps}
    assert tests == {"wild": ["wild"], "ffpp-c23": ["FF++", "wild"]}


@pytest.mark.parametrize(
    ("table", "only", "words"),
    [
        ((9,), (), "--table 9: faclue has tables 1, 2, 3, 4"),
        ((), ("nope*",), "--only 'nope\\*' matches no experiment of faclue: ffpp-c23, celeb-df, "),
        ((2,), ("wild",), "has a figure in table 2"),
    ],
)
def test_a_selection_of_nothing_is_refused(table: tuple[int, ...], only: tuple[str, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        select(PROTOCOLS["faclue"], table, only)
