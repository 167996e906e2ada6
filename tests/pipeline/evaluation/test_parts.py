"""The folder of an evaluation: gone on with for the same scores alone, and a damaged part is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ffpipe.manifests.errors import IntegrityError, StorageError
from ffpipe.pipeline.evaluation.parts import RESULT, EvaluationFolder, new_folder


def test_a_folder_is_gone_on_with_for_the_same_scores_until_it_is_finished(tmp_path: Path) -> None:
    first = EvaluationFolder.open(tmp_path, "made-test", {"model": 1})
    assert (first.path.name, first.resumed) == ("made-test-001", False)
    other = EvaluationFolder.open(tmp_path, "made-test", {"model": 2})
    assert (other.path.name, other.resumed) == ("made-test-002", False)
    assert other.id != first.id
    again = EvaluationFolder.open(tmp_path, "made-test", {"model": 1})
    assert (again.path, again.id, again.resumed) == (first.path, first.id, True)
    (first.path / RESULT).write_text("{}")
    first.finish()
    assert EvaluationFolder.open(tmp_path, "made-test", {"model": 1}).path.name == "made-test-003"


def test_logits_come_back_to_their_places_and_only_an_empty_folder_is_forgotten(tmp_path: Path) -> None:
    folder = EvaluationFolder.open(tmp_path, "made-test", {})
    assert np.isnan(folder.parts.read(4)).all()
    folder.parts.add(np.array([2, 0]), np.array([0.5, -1.25], np.float32))
    found = EvaluationFolder.open(tmp_path, "made-test", {}).parts.read(4)
    np.testing.assert_array_equal(found, np.array([-1.25, np.nan, 0.5, np.nan], np.float32))
    folder.forget()
    assert folder.path.exists()
    empty = EvaluationFolder.open(tmp_path, "empty", {})
    empty.forget()
    assert not empty.path.exists()


def test_a_damaged_part_is_refused_by_name(tmp_path: Path) -> None:
    folder = EvaluationFolder.open(tmp_path, "made-test", {})
    folder.parts.add(np.arange(3), np.ones(3, np.float32))
    (part,) = (folder.path / "parts" / "logits").glob("part-*.parquet")
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    with pytest.raises(IntegrityError, match=part.name):
        EvaluationFolder.open(tmp_path, "made-test", {}).parts.read(3)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=f"cannot write to {tmp_path}/file"):
        new_folder(tmp_path / "file", "made")
