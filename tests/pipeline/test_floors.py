"""Versions below what pyproject.toml asks for are named with reason and fix; the floors stand there alone."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import av
import pytest
from packaging.requirements import Requirement

from ffpipe.pipeline import doctor, floors

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
#: The floors that the specification of artefact security asks for.
LEAST = {"ray": "2.56", "torch": "2.10", "pyarrow": "26", "av": "18"}


def declared() -> list[str]:
    return list(tomllib.loads(PROJECT.read_text())["project"]["dependencies"])


@pytest.mark.parametrize("name", LEAST)
def test_the_floor_of_what_security_rests_on_is_declared_and_has_a_reason(name: str) -> None:
    specifier = floors.floors(declared())[name].specifier
    assert not specifier.contains(f"{int(LEAST[name].split('.')[0]) - 1}.99")
    assert specifier.contains(LEAST[name])
    assert name in floors.REASONS


def test_every_reason_is_that_of_a_dependency() -> None:
    assert set(floors.REASONS) <= set(floors.floors(declared()))


def test_doctor_reads_the_floors_from_the_metadata_that_pyproject_becomes() -> None:
    needed = {name: r.specifier for name, r in floors.floors().items()}
    wanted = {name: r.specifier for name, r in floors.floors(declared()).items()}
    if needed != wanted:
        installed = {Requirement(text).name for text in requires("ffpipe") or ()}
        pytest.skip(
            f"installed before pyproject.toml changed ({sorted(wanted.keys() ^ installed)[:3]}): make setup"
        )
    assert needed == wanted


def test_markers_and_extras_of_other_machines_do_not_count() -> None:
    found = floors.floors(["a>=1", 'b>=1; extra == "demo"', 'c>=1; platform_machine == "none"', "d[x]>=2"])
    assert set(found) == {"a", "d"}


def test_what_is_too_old_is_named_with_reason_and_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"ray": "2.54.0", "torch": "2.10.0+cu130", "timm": "1.0.21.dev0", "numpy": "who knows"}

    def version(name: str) -> str:
        if name not in found:
            raise PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(floors, "version", version)
    problems = dict(
        floors.below(["ray[train]>=2.56", "torch>=2.10", "timm>=1.0.20", "numpy>=2.0", "scipy>=1"])
    )
    assert problems == {
        f"ray 2.54.0 is not >=2.56: {floors.REASONS['ray']}": "pip install 'ray[train]>=2.56'",
        "numpy who knows is not >=2.0: ffpipe was not tested with older ones": "pip install 'numpy>=2.0'",
    }


def test_a_tree_that_was_never_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(floors, "requires", absent)
    assert [fix for _, fix in floors.below()] == ["pip install -e ."]


@pytest.mark.parametrize(
    ("release", "codec", "told"),
    [
        ("8.1.2", (62, 28, 102), None),
        ("n9.0", (63, 1, 0), None),
        ("8.0.1", (62, 11, 100), "FFmpeg 8.0;"),
        ("n7.1", (61, 19, 100), "FFmpeg 7.1;"),
        ("git-2026-06-01", (62, 28, 100), None),
        ("git-2026-01-01", (62, 11, 100), "FFmpeg with libavcodec 62.11.100;"),
        ("", (61, 19, 100), "FFmpeg with libavcodec 61.19.100;"),
    ],
)
def test_an_old_ffmpeg_inside_pyav_is_named(
    monkeypatch: pytest.MonkeyPatch, release: str, codec: tuple[int, int, int], told: str | None
) -> None:
    monkeypatch.setattr(av, "ffmpeg_version_info", release)
    monkeypatch.setattr(av, "library_versions", {"libavcodec": codec})
    problems = list(floors.ffmpeg_below())
    assert [told in text and "av" in fix for text, fix in problems if told] == ([True] if told else [])
    assert bool(problems) == bool(told)


def test_doctor_tells_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(floors, "below", lambda: [("ray 1 is not >=2.56: old", "pip install ray")])
    found = [finding for finding in doctor._floors(tmp_path) if finding.fix]
    assert [(f.topic, f.fix) for f in found][:1] == [("floor", "pip install ray")]
    monkeypatch.setattr(floors, "below", list)
    monkeypatch.setattr(floors, "ffmpeg_below", list)
    assert [f.text for f in doctor._floors(tmp_path)] == ["no library is older than ffpipe is safe with"]
