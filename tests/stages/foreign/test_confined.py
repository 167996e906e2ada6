"""The confined reader: sound files give their tensors, hostile ones a line, and neither leaves anything behind."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import socket
import tempfile
from pathlib import Path

import pytest
import torch
from foreign_checkpoints import CASES, Touch, hash_bomb, with_pickle
from safetensors.torch import save

from ffpipe.manifests.errors import IntegrityError, UsageError, WeightsError
from ffpipe.stages.foreign import confined
from ffpipe.stages.foreign.confined import convert_confined
from ffpipe.stages.foreign.reading import Taken

#: One of each way to end: refused by the reader, bounded by its memory, bounded by its time.
_EVERY_DAY = ("pickle-in-zip", "legacy-claim")


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """A temporary folder of its own, in which nothing may be left."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def test_a_sound_file_gives_its_tensors_and_says_what_it_was(tmp_path, scratch):
    weights = {"a": torch.arange(5.0), "b": torch.ones(2, 2, dtype=torch.int64)}
    torch.save({"state_dict": weights, "epoch": 1}, tmp_path / "net.pth")
    (tmp_path / "link.bin").symlink_to("net.pth")
    source, taken, tensors = convert_confined(tmp_path / "link.bin")
    assert source.sha256 == hashlib.sha256((tmp_path / "net.pth").read_bytes()).hexdigest()
    assert source.bytes == (tmp_path / "net.pth").stat().st_size
    assert taken.place == ("state_dict",)
    assert all(torch.equal(tensors[name], weights[name]) for name in weights)


@pytest.mark.parametrize(
    "name",
    [n if n in _EVERY_DAY else pytest.param(n, marks=pytest.mark.slow) for n in CASES],
)
def test_a_hostile_file_costs_one_line(tmp_path, scratch, name):
    case, canary, path = CASES[name], tmp_path / "canary", tmp_path / "evil.pth"
    case.make(path, canary)
    before = path.read_bytes()
    with pytest.raises(WeightsError) as refused:
        convert_confined(path)
    assert re.search(case.says, refused.value.message)
    assert "\n" not in refused.value.message and refused.value.message.startswith(str(path))
    assert refused.value.exit_code == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evil.pth", "scratch"]
    assert path.read_bytes() == before


def test_a_file_that_never_ends_is_killed_by_its_cpu_seconds(tmp_path, scratch):
    with_pickle(tmp_path / "bomb.pth", hash_bomb())
    with pytest.raises(WeightsError, match="used up its CPU seconds"):
        convert_confined(tmp_path / "bomb.pth", seconds=1.0)


def test_the_canary_does_appear_where_the_same_object_is_unpickled(tmp_path):
    pickle.loads(pickle.dumps(Touch(tmp_path / "canary")))
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize("kind", ["fifo", "socket", "folder", "device", "link to a device"])
def test_what_is_no_regular_file_is_not_waited_for(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "net.pth"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("net.pth")
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises((UsageError, confined.StorageError), match=r"is no regular file|cannot be read"):
        convert_confined(path)


def test_names_that_lead_nowhere(tmp_path):
    (tmp_path / "gone.pth").symlink_to("nothing")
    (tmp_path / "loop.pth").symlink_to("loop.pth")
    with pytest.raises(UsageError, match="no such file"):
        convert_confined(tmp_path / "gone.pth")
    with pytest.raises(confined.StorageError, match="cannot be read"):
        convert_confined(tmp_path / "loop.pth")


def test_a_file_that_changes_meanwhile_is_refused(tmp_path, scratch, monkeypatch):
    path = tmp_path / "net.pth"
    torch.save({"a": torch.zeros(2)}, path)

    def changing(*_):
        torch.save({"a": torch.ones(2)}, path)
        return Taken("zip", (), ())

    monkeypatch.setattr(confined, "_taken", changing)
    with pytest.raises(IntegrityError, match="changed while it was read"):
        convert_confined(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused_by_name(tmp_path, scratch, value, monkeypatch):

    def written(source, seconds, given, target):
        os.write(target, save({"good": torch.ones(2), "head.bias": torch.tensor([1.0, value])}))
        return Taken("zip", (), ())

    torch.save({"a": torch.zeros(2)}, tmp_path / "net.pth")
    monkeypatch.setattr(confined, "_taken", written)
    with pytest.raises(WeightsError, match=r"holds NaN or infinity in head\.bias:"):
        convert_confined(tmp_path / "net.pth")


def test_a_child_that_was_taken_over_gets_nothing_past_the_parent(tmp_path, scratch, monkeypatch):

    def written(source, seconds, given, target):
        os.write(target, pickle.dumps(Touch(tmp_path / "canary")))
        return Taken("zip", (), ())

    torch.save({"a": torch.zeros(2)}, tmp_path / "net.pth")
    monkeypatch.setattr(confined, "_taken", written)
    with pytest.raises(WeightsError, match="wrote no sound tensors"):
        convert_confined(tmp_path / "net.pth")
    assert not (tmp_path / "canary").exists()
