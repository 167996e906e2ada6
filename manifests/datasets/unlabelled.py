"""`unlabelled`: any file or folder of media whose truth is not known, to be scored.

What: whatever lies there; every input of `ffpipe.manifests.inputs`. Layout: none. Labels: none.
Split: none. Licence: the user's own media.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ffpipe.manifests.datasets.layout import Dataset, Recognition
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import AnyPath, collect, display_path
from ffpipe.manifests.records import Entry


class Unlabelled:
    """Every input, with nothing known of it."""

    name = "unlabelled"
    summary = "any files or folders, no labels: for score"

    def recognise(self, root: Path) -> Recognition | None:
        """Any existing path holds unlabelled media; the registry asks this layout last."""
        return Recognition(root, "no labelled layout fits") if root.exists() else None

    def load(
        self, root: Path, *, splits_dir: Path | None = None, seed: int = 0, exclude: Sequence[AnyPath] = ()
    ) -> Dataset:
        """One entry an input; `seed` has nothing to divide.

        Raises:
            UsageError: `splits_dir` is given, which unlabelled media cannot follow.
        """
        if splits_dir is not None:
            raise UsageError(f"--splits is given, but {display_path(root)} is taken as unlabelled media")
        inputs = collect([root], exclude)
        return Dataset(
            self.name,
            [Entry(path) for path in inputs.entries],
            skipped=inputs.skipped,
            companions=inputs.companions,
        )
