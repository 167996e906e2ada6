"""Which arithmetic scoring takes: as asked, as measured with the weights, or timed anew on another machine."""

from __future__ import annotations

import json

import pytest
import torch
from training_faces import SIDE, MadeFaces
from training_faces import TinyNetwork as Network

from ffpipe.models.detector import DetectorSpec
from ffpipe.pipeline import arithmetic_choice
from ffpipe.pipeline.arithmetic_choice import FACES, FEWER_FACES, choose, machine, measure, measure_all
from ffpipe.pipeline.batches import EvalBatches, NetworkInput
from ffpipe.stages.arithmetic import NAMES, REFERENCE
from ffpipe.stages.tuning import fastest

CPU = torch.device("cpu")


class TinyNetwork(Network):
    spec = DetectorSpec(name="tiny", summary="", paper="", input_size=SIDE, needs_sida=True)


def record(chosen: str = "bfloat16", where: str | None = None) -> dict:
    trials = [
        {"arithmetic": "float32", "seconds": 2.0, "difference": 0.0},
        {"arithmetic": "bfloat16", "seconds": 1.0, "difference": 0.001},
        {"arithmetic": "channels-last-bfloat16", "seconds": 0.5, "difference": 0.5},
    ]
    where = machine(CPU) if where is None else where
    return {"cpu": {"machine": where, "tolerance": 0.01, "faces": 64, "chosen": chosen, "trials": trials}}


def test_measuring_compares_all_of_them_on_validation_faces():
    source = MadeFaces()
    rows = torch.arange(len(source.table)).numpy()
    found = measure(TinyNetwork(), EvalBatches(source, rows, NetworkInput(SIDE, True), 5), CPU)
    assert {trial["arithmetic"] for trial in found["trials"]} == set(NAMES)
    assert found["chosen"] in NAMES and found["machine"] == machine(CPU)
    assert 0 < found["faces"] <= min(FACES, len(rows))
    json.dumps(found)


def test_a_gpu_s_model_is_compared_on_the_processor_as_well(monkeypatch):
    asked = []
    monkeypatch.setattr(
        arithmetic_choice,
        "measure",
        lambda model, batches, device, faces=FACES: asked.append((device.type, faces)),
    )
    model = TinyNetwork()
    model.to = lambda device: asked.append(("back", str(device)))
    assert set(measure_all(model, None, torch.device("cuda"))) == {"cuda", "cpu"}
    assert asked == [("cuda", FACES), ("cpu", FEWER_FACES), ("back", "cuda")]
    asked.clear()
    assert set(measure_all(model, None, CPU)) == {"cpu"}
    assert asked == [("cpu", FACES)]


@pytest.mark.parametrize(("faces", "batch"), [(3, 5), (7, 5), (10, 5)])
def test_no_more_faces_are_compared_than_asked_for(faces, batch):
    source = MadeFaces()
    rows = torch.arange(len(source.table)).numpy()
    batches = EvalBatches(source, rows, NetworkInput(SIDE, True), batch)
    assert measure(TinyNetwork(), batches, CPU, faces)["faces"] in range(1, faces + 1)


def test_the_same_machine_takes_what_was_chosen_with_the_weights(tmp_path):
    given = {"arithmetic": record()}
    found, reason = choose("auto", given, TinyNetwork(), CPU, "id", tmp_path / "timings.json")
    assert found.name == "bfloat16"
    assert reason == "scores within 0.01 of eager float32's on 64 validation faces"
    assert not (tmp_path / "timings.json").exists()


def test_what_is_asked_for_is_taken(tmp_path):
    found, reason = choose("float32", {"arithmetic": record()}, TinyNetwork(), CPU, "id", tmp_path / "x")
    assert (found, reason) == (REFERENCE, "asked for")


@pytest.mark.parametrize("config", [{}, {"arithmetic": {}}, {"arithmetic": {"cuda": record()["cpu"]}}])
def test_where_nothing_was_compared_it_is_float32(tmp_path, config):
    found, reason = choose("auto", config, TinyNetwork(), CPU, "id", tmp_path / "x")
    assert (found, reason) == (REFERENCE, "no other was compared with it on a cpu device")


def test_another_machine_is_timed_once_among_those_that_were_near_enough(tmp_path, monkeypatch):
    given, cache = {"arithmetic": record(where="another machine")}, tmp_path / "deep" / "timings.json"
    tried, compared = [], []
    real = arithmetic_choice.try_all
    monkeypatch.setattr(
        arithmetic_choice,
        "try_all",
        lambda model, inputs, device, ways: (
            tried.append([w.name for w in ways]) or real(model, inputs, device, ways)
        ),
    )
    monkeypatch.setattr(arithmetic_choice, "fastest", lambda timed: compared.extend(timed) or fastest(timed))
    found, reason = choose("auto", given, TinyNetwork(), CPU, "id", cache)
    assert found.name in ("float32", "bfloat16"), "what was too far off is not taken for its speed"
    # What was measured on faces stays; that made-up ones are apart or together says nothing.
    assert [(trial.arithmetic, trial.difference) for trial in compared] == [
        ("float32", 0),
        ("bfloat16", 0.001),
    ]
    assert reason.endswith("the fastest of those on this machine")
    assert choose("auto", given, TinyNetwork(), CPU, "id", cache)[0] == found
    assert tried == [["float32", "bfloat16"]]
    choose("auto", given, TinyNetwork(), CPU, "other weights", cache)
    assert len(tried) == 2


@pytest.mark.parametrize("content", [b"", b"[1]", b"{not json"])
def test_damaged_timings_are_made_anew(tmp_path, content):
    cache = tmp_path / "timings.json"
    cache.write_bytes(content)
    choose("auto", {"arithmetic": record(where="another machine")}, TinyNetwork(), CPU, "id", cache)
    assert len(json.loads(cache.read_bytes())) == 1
