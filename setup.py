"""The one build step beyond pyproject.toml: a wheel and a source archive say of which commit they were made."""

from __future__ import annotations

import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
#: Below the package's folder; `pipeline/provenance.py` reads it where there is no repository.
NAME = "COMMIT"


def commit() -> str | None:
    """The commit, with '+' where files were changed; of an unpacked source archive what is written in it."""
    written = ROOT / "src" / "ffpipe" / NAME
    if not (ROOT / ".git").exists():
        return written.read_text() if written.exists() else None
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "") + "\n"
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _write(folder: Path) -> None:
    if found := commit():
        (folder / NAME).write_text(found)


class BuildPy(build_py):
    """Adds the commit to what goes into a wheel; an editable install asks the repository itself."""

    def run(self) -> None:
        """Copy the modules, then write the commit beside them."""
        super().run()
        if not self.editable_mode:
            _write(Path(self.build_lib) / "ffpipe")


class Sdist(sdist):
    """Adds the commit to a source archive."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Lay out the archive's files, then write the commit among them."""
        super().make_release_tree(base_dir, files)
        _write(Path(base_dir) / "src" / "ffpipe")


setup(cmdclass={"build_py": BuildPy, "sdist": Sdist})
