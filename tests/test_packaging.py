"""The wheel holds real files, keeps out of other packages' way, and works beside a user's own `models/`."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("manifests", "models", "stages", "pipeline")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return out


def modules() -> set[str]:
    """Every file of the rooms: modules, and the template, style and script of a page."""
    return {
        f"ffpipe/{p.relative_to(ROOT)}"
        for room in ROOMS
        for kind in ("py", "jinja", "css", "js")
        for p in (ROOT / room).rglob(f"*.{kind}")
    }


def test_the_wheel_holds_every_module_below_ffpipe_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {n for n in archive.namelist() if ".dist-info/" not in n}
        assert not [i for i in archive.infolist() if (i.external_attr >> 16) & 0o170000 == 0o120000]
    assert modules() < names
    assert {n.split("/")[0] for n in names} == {"ffpipe"}


def test_the_source_archive_holds_real_files(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        assert not [m.name for m in tar if m.issym() or m.islnk()]
        names = {m.name.split("/", 1)[1] for m in tar if m.isfile()}
    assert {f"src/{name}" for name in modules()} < names


def test_the_wheel_says_of_which_commit_it_is(built: Path) -> None:
    """Also through a source archive, of which it was built."""
    git = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    head = subprocess.run(git, capture_output=True, text=True)
    if head.returncode:
        pytest.skip("no repository here")
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("ffpipe/COMMIT").decode().strip().rstrip("+") == head.stdout.strip()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_refuses_its_bare_name(room: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import {room}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert f"import ffpipe.{room}, not {room}" in done.stderr


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it, and the libraries of this environment but not its ffpipe."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    # A source tree on the path would count as installed already.
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(command, check=True, capture_output=True, env=bare)
    site = next((home / "lib").glob("python*/site-packages"))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.mark.slow
@pytest.mark.ray
def test_the_installed_ffpipe_works_on_ray_in_a_folder_with_its_own_models(
    installed: Path, tmp_path: Path
) -> None:
    from media import make_face_clip

    for name in ("models", "stages", "manifests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('a package of the user was imported')")
    make_face_clip(tmp_path / "clips" / "a.mp4", seconds=1.0)
    options = ["--engine", "ray", "--workers", "1", "--frames", "4"]
    command = [str(installed.parent / "ffpipe"), "extract", "clips", *options]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "RAY"))}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "4 faces of 1 inputs (1 ok)" in done.stderr
    where = subprocess.run(
        [str(installed), "-c", "import ffpipe.models; print(ffpipe.models.__file__)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert str(installed.parents[1]) in where
