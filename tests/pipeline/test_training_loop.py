from __future__ import annotations

import copy
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from training_faces import TinyNetwork, make_loop

from ffpipe.manifests.errors import IntegrityError, StorageError, UsageError
from ffpipe.models.losses import Losses, cross_entropy
from ffpipe.pipeline import training_state
from ffpipe.pipeline.training_loop import LoopResult, Observer
from ffpipe.pipeline.training_pace import estimate_seconds
from ffpipe.pipeline.validation import score_faces

STEPS = 15


class Killed(Exception):
    """Raised by a test in the middle of a run."""


class StopAt(Observer):
    def __init__(self, step: int) -> None:
        self.stop_at = step

    def step(self, progress, total_step):
        if total_step == self.stop_at:
            raise Killed


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> LoopResult:
    return make_loop(tmp_path_factory.mktemp("whole")).run()


def _same(result: LoopResult, expected: LoopResult) -> None:
    assert result.losses == expected.losses
    assert result.history == expected.history
    assert result.best == expected.best
    weights, wanted = (training_state.read_tensors(r.best_weights) for r in (result, expected))
    assert all(weights[name].equal(wanted[name]) for name in wanted)


def test_training_lowers_the_loss_and_gives_one_loss_a_step(uninterrupted):
    assert len(uninterrupted.losses) == 3 * STEPS
    assert np.mean(uninterrupted.losses[-STEPS:]) < np.mean(uninterrupted.losses[:STEPS])
    assert [entry["epoch"] for entry in uninterrupted.history] == [1, 2, 3]


@pytest.mark.parametrize("step", [1, 7, STEPS, STEPS + 1, 3 * STEPS - 1])
def test_a_run_stopped_after_any_step_goes_on_as_if_it_had_not(tmp_path, uninterrupted, step):
    with pytest.raises(Killed):
        make_loop(tmp_path, StopAt(step)).run()
    torch.rand(3), np.random.rand(3), random.random()  # what others draw meanwhile changes nothing
    _same(make_loop(tmp_path).run(), uninterrupted)


@pytest.mark.parametrize(
    "options",
    [
        {"accumulate": 4},
        {"schedule": "cosine"},
        {"optimiser": "sgd", "momentum": 0.9, "schedule": "cosine", "accumulate": 2},
        {"optimiser": "adamw", "weight_decay": 0.1},
    ],
)
def test_accumulation_and_schedules_resume_exactly_too(tmp_path, options):
    whole = make_loop(tmp_path / "whole", **options).run()
    with pytest.raises(Killed):
        make_loop(tmp_path / "cut", StopAt(STEPS + 6), **options).run()
    _same(make_loop(tmp_path / "cut", **options).run(), whole)


class Halves:
    """Cross-entropy in two named parts of unequal size."""

    def __call__(self, model, batch):
        whole = cross_entropy(model(batch.image, batch.sida), batch.label).total
        return Losses(whole, {"first": 0.25 * whole, "second": 0.75 * whole})

    def to(self, device):
        pass


def test_parts_of_the_loss_are_kept_apart_and_resume_too(tmp_path, uninterrupted):
    with pytest.raises(Killed):
        make_loop(tmp_path, StopAt(STEPS + 6), objective=Halves()).run()
    heard = []

    class Listen(Observer):
        def step(self, progress, total_step):
            heard.append((progress.loss, progress.parts))

    result = make_loop(tmp_path, Listen(), objective=Halves()).run()
    assert result.losses == uninterrupted.losses
    for loss, parts in heard:
        assert parts == pytest.approx({"first": 0.25 * loss, "second": 0.75 * loss})
    for entry in result.history:
        assert entry["train_first"] == pytest.approx(0.25 * entry["train_loss"])
        assert entry["train_second"] == pytest.approx(0.75 * entry["train_loss"])


def test_an_update_averages_the_batches_it_really_has(tmp_path):
    """15 steps in updates of 4 leave 3 for the last one."""
    loop = make_loop(tmp_path, optimiser="sgd", accumulate=4, epochs=1, learning_rate=1e-3)
    assert [loop.schedule.last_epoch, STEPS % 4] == [0, 3]
    sizes = []
    for loop.position.step in range(STEPS):
        sizes.append(loop._batches_of_update())
    assert sizes == [4] * 12 + [3] * 3


def test_the_cosine_ends_at_nothing(tmp_path):
    result = make_loop(tmp_path, schedule="cosine", learning_rate=8e-3).run()
    rates = [entry["learning_rate"] for entry in result.history]
    assert rates == pytest.approx([8e-3 * (1 + np.cos(np.pi * k / 3)) / 2 for k in (1, 2, 3)], abs=1e-12)


@pytest.mark.slow
def test_a_process_killed_at_random_steps_ends_with_the_same_curve(tmp_path, uninterrupted):
    """kill -9 three times, then a run to the end in a fourth process."""
    code = """
import sys, time
from pathlib import Path
from ffpipe.pipeline.training_loop import Observer
from training_faces import make_loop
class Tell(Observer):
    def step(self, progress, total_step):
        print(total_step, flush=True)
        time.sleep(0.02)
make_loop(Path(sys.argv[1]), Tell()).run()
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    reached = []
    for wait in random.Random(0).sample(range(3, 12), 2):
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert child.stdout is not None
        for _ in range(wait):
            line = child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
        reached.append(int(line))
    assert reached[0] < reached[1] < 3 * STEPS
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _same(make_loop(tmp_path).run(), uninterrupted)
    finally:
        torch.set_num_threads(threads)


def test_a_finished_run_is_not_trained_again(tmp_path, uninterrupted):
    make_loop(tmp_path).run()
    _same(make_loop(tmp_path, StopAt(1)).run(), uninterrupted)


def test_the_best_epoch_is_the_one_that_validation_prefers(tmp_path, monkeypatch):
    figures = iter([(0.7, 0.5), (0.9, 0.6), (0.9, 0.4), (0.8, 0.1)])

    def fixed(self, logits):
        area, loss = next(figures)
        return {"val_auc": area, "val_loss": loss, "val_video_auc": None}

    monkeypatch.setattr("ffpipe.pipeline.validation.Validation.figures", fixed)
    result = make_loop(tmp_path, epochs=4).run()
    assert result.best["epoch"] == 3
    assert result.best_weights.name == "best-0002.safetensors"


def test_the_stored_best_weights_are_those_that_were_validated(tmp_path):
    result = make_loop(tmp_path).run()
    loop = make_loop(tmp_path / "other")
    training_state.unpack_weights(loop.model, training_state.read_tensors(result.best_weights))
    assert loop.validation is not None
    logits = score_faces(loop.model, loop.validation.batches, torch.device("cpu"))
    assert loop.validation.figures(logits).items() <= result.best.items()


def test_training_stops_when_validation_gains_no_more(tmp_path, monkeypatch):
    areas = iter([0.6, 0.8, 0.7, 0.7, 0.9])
    monkeypatch.setattr(
        "ffpipe.pipeline.validation.Validation.figures",
        lambda self, logits: {"val_auc": next(areas), "val_loss": 1.0, "val_video_auc": None},
    )
    result = make_loop(tmp_path, epochs=9, patience=2).run()
    assert [entry["epoch"] for entry in result.history] == [1, 2, 3, 4]
    assert result.best["epoch"] == 2


def test_without_validation_the_last_epoch_counts(tmp_path):
    loop = make_loop(tmp_path, epochs=2)
    loop.validation = None
    assert loop.run().best["epoch"] == 2


def test_only_the_files_that_count_are_kept(tmp_path):
    result = make_loop(tmp_path).run()
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == sorted([result.best_weights.name, "state-0003-00000000.safetensors", "state.json"])


def test_the_estimate_disturbs_neither_model_nor_random_numbers(tmp_path):
    loop = make_loop(tmp_path)
    before = copy.deepcopy(loop.model.state_dict())
    generators = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    assert (
        estimate_seconds(loop.model, loop.train, loop.validation, loop.objective, 3, loop.device, "float32")
        > 0
    )
    assert all(tensor.equal(before[name]) for name, tensor in loop.model.state_dict().items())
    assert torch.get_rng_state().equal(generators[0])
    assert random.getstate() == generators[1]
    assert np.array_equal(np.random.get_state()[1], generators[2])
    assert loop.model.training
    assert all(parameter.grad is None for parameter in loop.model.parameters())


def test_a_loss_that_is_no_number_stops_with_advice(tmp_path, monkeypatch):
    loop = make_loop(tmp_path)
    forward = TinyNetwork.forward
    monkeypatch.setattr(TinyNetwork, "forward", lambda self, *given: forward(self, *given) * float("nan"))
    with pytest.raises(UsageError, match=r"nan in epoch 1, step 1.*--learning-rate"):
        loop.run()


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("name", ["state.json", "state-*.safetensors", "best-*.safetensors"])
def test_a_damaged_state_is_refused_by_name(tmp_path, name, cut):
    with pytest.raises(Killed):
        make_loop(tmp_path, StopAt(20)).run()
    path = next(tmp_path.glob(name))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content[: len(content) // 2] if cut else content)
    with pytest.raises(IntegrityError, match=path.name):
        make_loop(tmp_path).run()


def test_damaged_best_weights_are_refused_at_the_end_too(tmp_path):
    loop = make_loop(tmp_path)
    path = loop.run().best_weights
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=path.name):
        training_state.load_best(tmp_path, loop.position)


def test_a_full_disk_leaves_the_old_state(tmp_path, monkeypatch):
    loop = make_loop(tmp_path)
    loop.save()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(tensors, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training_state, "save_file", full)
    loop.position.step = 3
    with pytest.raises(StorageError, match="No space left"):
        loop.save()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_frozen_weights_stay_as_they_are(tmp_path):
    loop = make_loop(tmp_path)
    network = TinyNetwork()
    network.conv.weight.requires_grad_(False)
    frozen = type(loop)(network, loop.train, None, loop.settings, tmp_path)
    before = network.conv.weight.clone()
    frozen.run()
    assert network.conv.weight.equal(before)
