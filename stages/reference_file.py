"""A model's reference as a safetensors file, and back: what a damaged or foreign one is refused for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from ffpipe.manifests.records import SIDA_LENGTH
from ffpipe.models import tensors
from ffpipe.stages.domain import BAND_NAMES, MEASURES, Band, BandName, Bound, Measure, Reference, Spread
from ffpipe.stages.gaussian import Gaussian

#: The file's name in a model folder.
REFERENCE = "reference.safetensors"
#: Most bytes that are read of one: 64 factors make 0.7 MB.
MAX_BYTES = 16 << 20
FORMAT_VERSION = 1

_KEY = "ffpipe.reference"
_GAUSSIAN = ("mean", "scale", "factors", "noise")
_LINES = ("low", "median", "high")
#: Bytes before the header of a safetensors file, which hold its length.
_PREFIX = 8


def to_bytes(reference: Reference) -> bytes:
    """The content of the file; the same reference gives the same bytes."""
    parts = {name: getattr(reference.gaussian, name) for name in _GAUSSIAN}
    for name, band in reference.bands.items():
        parts |= {f"{name}.{line}": getattr(band, line) for line in _LINES}
    told = {
        "format_version": FORMAT_VERSION,
        "model_id": reference.model_id,
        "shrinkage": reference.gaussian.shrinkage,
        "bound": asdict(reference.bound),
        "spreads": {name: asdict(spread) for name, spread in reference.spreads.items()},
        "faces": dict(reference.faces),
    }
    stored = {name: torch.from_numpy(np.ascontiguousarray(part)) for name, part in sorted(parts.items())}
    return bytes(safetensors.torch.save(stored, metadata={_KEY: json.dumps(told, sort_keys=True)}))


def from_bytes(data: bytes, model_id: str) -> Reference:
    """What `to_bytes` wrote of the reference of these weights. Raises ValueError with one line on what is wrong."""
    found = tensors.parse(data)
    try:
        told = _told(data)
        if told["format_version"] != FORMAT_VERSION:
            raise ValueError(f"it has format {told['format_version']}, this version reads {FORMAT_VERSION}")
        if told["model_id"] != model_id:
            raise ValueError(f"it belongs to weights with the sha256 {told['model_id']}, not to these")
        return _reference(found, told, hashlib.sha256(data).hexdigest())
    except (KeyError, TypeError, RecursionError, np.linalg.LinAlgError) as error:
        raise ValueError(f"it does not say what a reference says: {error!r}") from None


def _told(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:_PREFIX], "little")
    header = json.loads(data[_PREFIX : _PREFIX + length])
    return dict(json.loads(header["__metadata__"][_KEY]))


def _reference(found: Mapping[str, Tensor], told: Mapping[str, Any], digest: str) -> Reference:
    names = {str(name) for name in told["faces"] if told["faces"][name]}
    if not names <= set(BAND_NAMES):
        raise ValueError(f"it has bands of {', '.join(sorted(names))}")
    factors = len(found["factors"]) if found.get("factors", torch.empty(0)).ndim == 2 else 0
    shapes: dict[str, tuple[int, ...]] = {
        "mean": (SIDA_LENGTH,),
        "scale": (SIDA_LENGTH,),
        "noise": (SIDA_LENGTH,),
    }
    shapes |= {"factors": (factors, SIDA_LENGTH)}
    shapes |= {f"{name}.{line}": (SIDA_LENGTH,) for name in names for line in _LINES}
    _require(found, shapes)
    arrays = {name: tensor.numpy() for name, tensor in found.items()}
    if not ((arrays["noise"] > 0).all() and (arrays["scale"] > 0).all()):
        raise ValueError("its scales and noise are not above 0")
    gaussian = Gaussian(
        arrays["mean"], arrays["scale"], arrays["factors"], arrays["noise"], float(told["shrinkage"])
    )
    bands = {
        cast(BandName, name): Band(*(arrays[f"{name}.{line}"] for line in _LINES)) for name in sorted(names)
    }
    return Reference(
        gaussian=gaussian,
        bound=_bound(told["bound"]),
        bands=bands,
        spreads={name: _spread(told["spreads"][name]) for name in _measures(told["spreads"])},
        faces={name: int(told["faces"].get(name, 0)) for name in BAND_NAMES},
        model_id=str(told["model_id"]),
        id=digest,
    )


def _require(found: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    if found.keys() != shapes.keys():
        raise ValueError(f"it holds {', '.join(sorted(found)) or 'nothing'}, not {', '.join(sorted(shapes))}")
    for name, shape in shapes.items():
        tensor = found[name]
        if tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
            raise ValueError(f"its {name} is {tensor.dtype} {tuple(tensor.shape)}, not float32 {shape}")
    if broken := tensors.not_finite(found):
        raise ValueError(f"it holds NaN or infinity in {', '.join(sorted(broken))}")


def _measures(stored: Mapping[str, Any]) -> list[Measure]:
    if unknown := sorted(set(stored) - set(MEASURES)):
        raise ValueError(f"it measures {', '.join(unknown)}, which this version does not know")
    return [name for name in MEASURES if name in stored]


def _spread(stored: Mapping[str, Any]) -> Spread:
    return Spread(tuple(float(value) for value in stored["quantiles"]), _bound(stored["floor"]))


def _bound(stored: Mapping[str, Any]) -> Bound:
    value, reason = stored["value"], stored["reason"]
    return Bound(
        None if value is None else float(value),
        int(stored["count"]),
        int(stored["groups"]),
        None if reason is None else str(reason),
    )
