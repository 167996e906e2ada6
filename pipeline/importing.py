"""The import job: weights that others trained, from their checkpoint to a model folder or a safetensors file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from ffpipe.manifests.errors import StorageError, UsageError, WeightsError
from ffpipe.manifests.shards import write_atomic
from ffpipe.models import checkpoint
from ffpipe.models.detector import LABELS, Detector
from ffpipe.models.errors import PretrainedError
from ffpipe.models.pretrained import describe_difference
from ffpipe.models.registry import create_detector
from ffpipe.pipeline import log, provenance
from ffpipe.pipeline.config import ImportConfig
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.provenance_text import as_json, as_markdown
from ffpipe.pipeline.tables import provenance_file
from ffpipe.pipeline.weights import CROPS_KNOWN
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.crop import CropSettings
from ffpipe.stages.foreign.confined import Source, convert_confined
from ffpipe.stages.foreign.reading import Taken

#: What programs put before every name: wrappers for several GPUs, for compiling, and fields of a larger module.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")
#: How runs of imported weights are called by default.
_RUN = "imported"
SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class ImportResult:
    """Imported weights: the model folder or the file that was written, and what is known of their source."""

    place: Path
    model_id: str
    facts: dict[str, Any]
    provenance: dict[str, Any]


def import_weights(
    path: Path,
    config: ImportConfig,
    workspace: Workspace,
    *,
    out: Path | None = None,
    name: str | None = None,
    say: Say,
) -> ImportResult:
    """Take the tensors out of a foreign checkpoint and store them where they fit the detector exactly.

    With `out`, a safetensors file for `--pretrained FILE`: weights of the detector's backbone. Otherwise a model folder
    in the workspace, called `name`: weights of the whole detector, without thresholds, so that verdicts stay
    inconclusive.

    Raises UsageError (no such file or detector, a place that is taken), WeightsError (the file is not taken, or its
    tensors do not fit; nothing is written then) and StorageError.
    """
    if out is not None and name is not None:
        raise UsageError(
            "--out and --name: give one of the two, a file for --pretrained or a run of the workspace"
        )
    folder = None if out else _new_run(workspace, config.model, name)
    detector = _detector(config)
    if out is not None:
        _check_output(out, path)
        if not detector.spec.pretrained:
            raise UsageError(
                f"--out: {config.model} has no backbone that --pretrained could start; import a whole run"
            )
    source, taken, tensors = convert_confined(path)
    facts = _facts(source, taken)
    say(f"{source.name}: {len(tensors)} tensors{_from(taken)}, sha256 {source.sha256}")
    if folder is None:
        assert out is not None
        result = _write_file(out, config, source, tensors, facts, say)
        log.note(workspace, "import", result.provenance, [out, provenance_file(out)])
        return result
    result = _write_model(folder, detector, config, source, tensors, facts, say)
    log.note(workspace, "import", result.provenance, [folder / checkpoint.HASHES])
    return result


def _origin(config: ImportConfig, facts: dict[str, Any]) -> dict[str, Any]:
    """Provenance; the weights that were used are the foreign file."""
    return provenance.finish(provenance.collect(config, weights=[facts["sha256"]], foreign=facts))


def _new_run(workspace: Workspace, model: str, name: str | None) -> Path:
    if name is None:
        runs = (workspace.model_run(model, f"{_RUN}-{number:03d}") for number in range(1, 1000))
        found = next((run for run in runs if not run.exists()), None)
        if found is None:
            raise UsageError(f"--name: {workspace.root} has every run up to {_RUN}-999; give a name")
        return found
    folder = workspace.model_run(model, name)
    if folder.exists():
        raise UsageError(f"--name {name}: {folder} is there already; choose another name")
    return folder


def _check_output(out: Path, source: Path) -> None:
    if out.suffix != SUFFIX:
        raise UsageError(f"--out {out}: the file ends in {SUFFIX}")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise UsageError(f"--out {out}: give a file name in a folder that exists")
    if out.exists() and source.exists() and out.samefile(source):
        raise UsageError(f"--out {out}: is the source itself")


def _detector(config: ImportConfig) -> Detector:
    try:
        return create_detector(config.model, **config.options)
    except ValueError as error:
        raise UsageError(f"--model {config.model}: {error}") from None


def _facts(source: Source, taken: Taken) -> dict[str, Any]:
    return {
        "file": Path(source.name).name,
        "bytes": source.bytes,
        "sha256": source.sha256,
        "format": taken.format,
        "place": list(taken.place),
        "left_out": list(taken.left_out),
    }


def _from(taken: Taken) -> str:
    place = f" under {'/'.join(taken.place)}" if taken.place else ""
    return place + (f", {len(taken.left_out)} other entries left out" if taken.left_out else "")


def _candidates(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The tensors under their names, then without each prefix that all names share and that only wraps."""
    names = dict(tensors)
    yield names
    while prefix := next((p for p in _PREFIXES if names and all(name.startswith(p) for name in names)), None):
        names = {name.removeprefix(prefix): value for name, value in names.items()}
        yield names


def _write_model(
    folder: Path,
    detector: Detector,
    config: ImportConfig,
    source: Source,
    tensors: Mapping[str, Tensor],
    facts: dict[str, Any],
    say: Say,
) -> ImportResult:
    expected = detector.state_dict()
    # The spelling that has most names in common is the one whose difference tells something.
    fitting = max(_candidates(tensors), key=lambda names: len(names.keys() & expected.keys()))
    if difference := describe_difference(expected, fitting):
        raise WeightsError(
            f"{source.name} does not hold weights of {config.model}{_given(config)}: {difference}"
        )
    detector.load_state_dict(fitting)
    crop = CropSettings(margin=config.margin, kind="face" if config.crops == "unknown" else config.crops)
    origin = _origin(config, facts)
    extra = {
        "crop": asdict(crop),
        "crop_fingerprint": crop.fingerprint(),
        CROPS_KNOWN: config.crops != "unknown",
        "fit": crop.fit,
        "thresholds": None,
        "validated": False,
        "foreign": facts,
        "provenance": origin,
    }
    with _whole_or_nothing(folder):
        model_id = checkpoint.save(
            folder,
            detector,
            name=config.model,
            options=detector.options,
            extra=extra,
            metrics={},
            card=f"{_card(config, crop, facts)}\n{as_markdown(origin)}",
        )
    say(
        f"foreign weights without validation: verdicts with them stay inconclusive ({folder / checkpoint.CARD})"
    )
    return ImportResult(folder, model_id, facts, origin)


@contextmanager
def _whole_or_nothing(folder: Path) -> Iterator[None]:
    """A new folder, which goes again where it cannot be filled. Raises StorageError."""
    try:
        folder.mkdir(parents=True)
        try:
            yield
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror or error}") from error


def _given(config: ImportConfig) -> str:
    listed = ", ".join(f"model.{key}={value}" for key, value in config.options.items())
    return f" with {listed}" if listed else ""


def _write_file(
    out: Path,
    config: ImportConfig,
    source: Source,
    tensors: Mapping[str, Tensor],
    facts: dict[str, Any],
    say: Say,
) -> ImportResult:
    """The file, once the detector has started from it."""
    complaints = []
    for names in _candidates(tensors):
        content = bytes(safetensors.torch.save(names, metadata={"format": "pt"}))
        complaint = _refusal(content, config)
        if complaint is None:
            origin = _origin(config, facts)
            write_atomic(provenance_file(out), (as_json(origin, indent=1) + "\n").encode())
            write_atomic(out, content)
            say(f"{out}: for `ffpipe train --model {config.model} --pretrained {out}`")
            return ImportResult(out, checkpoint.content_id(content), facts, origin)
        complaints.append(complaint)
    raise WeightsError(f"{source.name}: {complaints[-1]}")


def _refusal(content: bytes, config: ImportConfig) -> str | None:
    """Why the detector does not start from weights; None where it does."""
    try:
        with tempfile.NamedTemporaryFile(prefix="ffpipe-", suffix=SUFFIX) as trial:
            trial.write(content)
            trial.flush()
            create_detector(config.model, pretrained=trial.name, **config.options)
    except PretrainedError as error:
        return str(error).replace(trial.name, "it")
    except OSError as error:
        raise StorageError(f"cannot write into {tempfile.gettempdir()}: {error.strerror or error}") from error
    return None


def _card(config: ImportConfig, crop: CropSettings, facts: dict[str, Any]) -> str:
    cut = {
        "unknown": "Nobody said how faces were cut for training: scoring asks for --accept-crops and marks its rows.",
        "face": f"The importer said: faces cut with margin {crop.margin:g} (settings {crop.fingerprint()}).",
        "crop": "The importer said: ready-made face crops.",
        "whole": "The importer said: whole images.",
    }[config.crops]
    parts = [
        f"# {config.model}, foreign weights",
        f"Imported from `{facts['file']}` ({facts['bytes']} bytes, sha256 `{facts['sha256']}`). Names, shapes and "
        f"dtypes fit {config.model}{_given(config)}; who trained it, on what and how is not known to ffpipe.",
        "## What was measured",
        "Nothing: there is no validation, and there are no thresholds. No verdict but `inconclusive` can rest on these "
        "weights; `ffpipe evaluate` measures them on labelled data.",
        "## Limits",
        f"- {cut}\n- Logits are read in the order {', '.join(LABELS)}; nothing in a checkpoint says so.\n"
        "- What the weights were trained on is unknown: that evaluation data was not among it cannot be checked.",
    ]
    return "\n\n".join(parts) + "\n"
