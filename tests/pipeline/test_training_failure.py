from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from ffpipe.manifests.errors import IntegrityError, StorageError, UsageError
from ffpipe.pipeline.training_failure import TrainingBug, is_lost_neighbour, raise_recorded, record


def _stop_by(path, error):
    try:
        raise error
    except type(error) as caught:
        record(path, caught)
    raise_recorded(path)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (IntegrityError("part.parquet: damaged"), IntegrityError, "part.parquet: damaged"),
        (OSError(28, "No space left on device", "/data/x"), StorageError, "/data/x: No space left on device"),
        (torch.OutOfMemoryError("CUDA out of memory"), UsageError, "--batch-size"),
    ],
)
def test_what_a_user_can_mend_arrives_as_such(tmp_path, error, kind, text):
    with pytest.raises(kind, match=text) as caught:
        _stop_by(tmp_path / "failure.json", error)
    assert type(caught.value) is kind


def test_a_bug_arrives_in_one_line_with_the_place_as_its_cause(tmp_path):
    with pytest.raises(TrainingBug, match=r"^ValueError: a b$") as caught:
        _stop_by(tmp_path / "failure.json", ValueError("a\nb"))
    assert "in _stop_by" in str(caught.value.__cause__)


def test_the_first_failure_counts_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "failure.json"
    record(path, ValueError("first"))
    record(path, ValueError("second"))
    with pytest.raises(TrainingBug, match="first"):
        raise_recorded(path)
    assert list(tmp_path.iterdir()) == [path]


def test_no_record_raises_nothing(tmp_path):
    raise_recorded(tmp_path / "failure.json")


def test_a_rank_that_lost_its_neighbour_is_told_from_one_that_failed():
    assert is_lost_neighbour(dist.DistBackendError("NCCL error"))
    assert is_lost_neighbour(RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer"))
    assert not is_lost_neighbour(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_lost_neighbour(OSError("disk"))
