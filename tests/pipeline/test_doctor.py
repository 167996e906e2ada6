from __future__ import annotations

from pathlib import Path

import pytest

from ffpipe.pipeline import doctor


def test_what_a_container_may_have_of_the_machines_memory_is_what_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "machine_memory", lambda: 2 << 30)
    first = next(doctor._memory(tmp_path))
    assert "2.0 GiB memory" in first.text
    assert first.fix is not None and "--workers 1" in first.fix
