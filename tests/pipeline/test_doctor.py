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


def test_the_page_s_port_and_libraries_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = doctor.examine_page()
    assert (found.fix, "127.0.0.1" in found.text) == (None, True)

    def refuse(*_: object) -> None:
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr("socket.create_server", refuse)
    missing, down = doctor.examine_page()
    assert missing.fix == "optional; pip install 'ffpipe[serve]'"
    assert "Cannot assign" in down.text
    assert down.fix is not None
