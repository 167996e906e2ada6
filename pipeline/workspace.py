"""The workspace folder: where datasets, models and scores live, and which model is the newest."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ffpipe.manifests.errors import ConfigMismatch, IntegrityError, UsageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.sealed import read_sealed, sealed
from ffpipe.manifests.shards import ShardGroup, write_atomic

DEFAULT_WORKSPACE = "ffpipe-workspace"
#: The file in a folder of shards that ties it to one configuration.
JOB = "job.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace; nothing is created until something is stored in it."""

    root: Path

    @classmethod
    def find(cls, given: Path | None = None) -> Workspace:
        """`given`, else $FFPIPE_WORKSPACE, else ./ffpipe-workspace. Raises UsageError where that is no folder."""
        root = _place(given)
        if root.exists() and not root.is_dir():
            raise UsageError(
                f"workspace {display_path(root)}: is a file; give a folder, or a name for a new one"
            )
        return cls(root)

    def words(self) -> list[str]:
        """What a command needs to find this workspace from where the user is."""
        return [] if self.root == _place(None) else ["--workspace", str(self.root)]

    def dataset(self, name: str) -> ShardGroup:
        """The shards of a dataset: media (the lead) and faces."""
        return ShardGroup(self.root / "datasets" / checked_name(name), "media", ["faces"])

    def datasets(self) -> list[str]:
        """Names of the datasets that were extracted here, sorted."""
        return sorted(p.parent.name for p in (self.root / "datasets").glob("*/job.json"))

    def scores(self, run: str) -> ShardGroup:
        """The shards of a scoring run: report (the lead), tracks, scores, and the crops that were kept."""
        return ShardGroup(self.root / "scores" / checked_name(run), "report", ["tracks", "scores", "faces"])

    def purge(self, name: str) -> list[Path]:
        """Delete the scoring run and the dataset of this name; returns what was deleted.

        Raises UsageError where there is neither, LockedError while a run writes to it.
        """
        found = [group for group in (self.scores(name), self.dataset(name)) if group.root.exists()]
        if not found:
            raise UsageError(f"{self.root} has no scoring run and no dataset called {name!r}")
        for group in found:
            with group.lock():
                shutil.rmtree(group.root)
        return [group.root for group in found]

    def model_run(self, model: str, run: str) -> Path:
        """Folder of a training run."""
        return self.root / "models" / checked_name(model) / checked_name(run)

    def finished_models(self) -> list[Path]:
        """Folders of finished training runs, oldest first (by the time at which they were finished)."""
        found = (self.root / "models").glob("*/*/hashes.json")
        return [p.parent for p in sorted(found, key=lambda p: (p.stat().st_mtime_ns, str(p)))]

    def newest_model(self) -> Path:
        """The newest finished model. Raises UsageError when there is none."""
        models = self.finished_models()
        if not models:
            raise UsageError(
                f"no trained model in {self.root}; "
                "train one with `ffpipe train --model sfcl-hcmf`, or give --weights DIR"
            )
        return models[-1]


def _place(given: Path | None) -> Path:
    return Path(given or os.environ.get("FFPIPE_WORKSPACE") or DEFAULT_WORKSPACE).absolute()


def checked_name(name: str) -> str:
    """A name that is safe as one folder. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"name {name!r}: allowed are up to 100 letters, digits, '.', '_', '+' and '-', "
            "beginning with a letter or digit"
        )
    return name


def name_for(folder: str) -> str:
    """A dataset name made from a folder's name: `FF++` stays, other characters become '-'."""
    cleaned = (
        re.sub(r"[^A-Za-z0-9._+-]+", "-", folder).strip("-._+") if not _NAME.fullmatch(folder) else folder
    )
    return cleaned[:100] or "dataset"


def bind_job(root: Path, digest: str, facts: dict[str, Any], overwrite_hint: str) -> dict[str, Any]:
    """Tie a folder of shards to one configuration and return the stored facts.

    The first run stores `facts`; later runs of the same configuration get them back unchanged.
    Raises ConfigMismatch for another configuration, StorageError when the file is damaged or cannot be read.
    """
    path = root / JOB
    if not path.exists():
        write_atomic(path, sealed({"digest": digest, **facts}, indent=1))
        return {"digest": digest, **facts}
    stored = read_job(root)
    if stored.get("digest") != digest:
        differs = _differences(stored.get("bound", {}), facts.get("bound", {}))
        raise ConfigMismatch(f"{root} holds results of another configuration ({differs}); {overwrite_hint}")
    return stored


def read_job(root: Path) -> dict[str, Any]:
    """What `bind_job` stored in a folder of shards. Raises StorageError naming a file that is damaged or not there."""
    try:
        return read_sealed(root / JOB)
    except IntegrityError as error:
        raise IntegrityError(
            f"{error.message}; restore it, or delete it and run the command that made it again"
        ) from error


def finish_job(shards: ShardGroup) -> dict[str, Any]:
    """Note in a folder's job.json when the newest of its commits was made, and return its provenance.

    The same inputs again change nothing; the caller holds the lock. Raises StorageError.
    """
    path = shards.root / JOB
    stored = read_job(shards.root)
    times = [file.stat().st_mtime for file in shards.root.glob(f"{shards.lead}/_commits/*.json")]
    at = datetime.fromtimestamp(max(times), UTC).isoformat(timespec="seconds") if times else None
    origin: dict[str, Any] = {**stored.get("provenance", {}), "finished": at}
    if origin != stored.get("provenance"):
        write_atomic(path, sealed({**stored, "provenance": origin}, indent=1))
    return origin


def _differences(stored: Any, wanted: dict[str, Any]) -> str:
    if not isinstance(stored, dict):
        return "its job.json does not say which"
    keys = [k for k in sorted({*stored, *wanted}) if stored.get(k) != wanted.get(k)]
    shown = [f"{k}: {stored.get(k)!r} there, {wanted.get(k)!r} now" for k in keys]
    return "; ".join(shown) or "another version of the pipeline"
