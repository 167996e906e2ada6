"""The one place that reads checkpoints of other programs: tensors by name, and nothing else of them.

Runs in the confined child alone. `weights_only` refuses every function that a pickle asks for but torch's own
constructors of tensors; the child around it bounds what those can cost, and what a hole in them could do.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

#: Most tensors of a checkpoint; the largest of our detectors has about 1000.
MAX_TENSORS = 20_000
#: Largest file, in bytes.
MAX_FILE = 8 << 30
#: What the tensors may come to, as a multiple of the file's size, and in bytes on top: shared ones are counted twice.
GROWTH, SLACK = 2, 1 << 20
#: Keys under which training scripts put the weights beside other things, likeliest first.
_WRAPPERS = (
    "state_dict", "model_state_dict", "model", "net", "network", "module", "params", "weights",
)  # fmt: skip
_MAX_DEPTH = 4
#: Names of parameters as torch makes them: dotted identifiers, here with every printable ASCII character but space.
_NAME = re.compile(r"[!-~]{1,256}")
_DTYPES = frozenset(
    {
        torch.float64, torch.float32, torch.float16, torch.bfloat16,
        torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
    }
)  # fmt: skip
#: How a file of torch.save before version 1.6 begins: a pickle of its magic number.
_LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
_ZIP = b"PK\x03\x04"
_TAR_AT = 257


class ForeignError(ValueError):
    """The file is not read, or not taken; one line says why."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What was found: the kind of file, the keys that led to the tensors, and names beside them that were left out."""

    format: str
    place: tuple[str, ...]
    left_out: tuple[str, ...]


def read(path: Path, size: int) -> tuple[Taken, dict[str, Tensor]]:
    """The tensors of a checkpoint of `size` bytes, dense, on the CPU, under names of printable ASCII.

    Raises ForeignError. May raise anything for a file made to do so, or end the process: run it in a child.
    """
    if size > MAX_FILE:
        raise ForeignError(f"has {size} bytes; the limit is {MAX_FILE}")
    kind = _kind(path)
    loaded = _safetensors(path) if kind == "safetensors" else _load(path, kind)
    place, state = _state_dict(loaded)
    found = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    left_out = [_shown(name) for name in state if name not in found]
    _check(found, GROWTH * size + SLACK)
    return Taken(kind, place, tuple(left_out[:20])), {name: value.detach() for name, value in found.items()}


def _kind(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(_TAR_AT + 5)
    if head.startswith(_ZIP):
        return "zip"
    if head.startswith(_LEGACY):
        return "legacy"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= MAX_FILE:
        return "safetensors"
    if head[_TAR_AT:] == b"ustar":
        raise ForeignError(
            "is a tar file, as torch.save wrote before 2017: load and save it with a newer torch"
        )
    raise ForeignError("is no checkpoint of torch.save and no safetensors file")


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        found: dict[str, Tensor] = safetensors.torch.load_file(path)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a header made for it can raise anything
        raise ForeignError(f"is no sound safetensors file: {_shown(str(error))}") from None
    with path.open("rb") as file:
        header = file.read(int.from_bytes(file.read(8), "little"))
    json.loads(header, object_pairs_hook=_without_repetition)
    return found


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object's content; of a name given twice readers take either, so that nobody knows what is meant."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ForeignError("is no sound safetensors file: its header gives a name twice")
    return values


def _load(path: Path, kind: str) -> Any:
    if kind == "zip":
        _check_archive(path)
    try:
        return torch.load(path, map_location="cpu", mmap=kind == "zip", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a pickle made for it can raise anything
        raise ForeignError(_reason(str(error))) from None


def _check_archive(path: Path) -> None:
    """Raises ForeignError for an archive that torch.save does not write: packed members, or several of one name."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise ForeignError(f"is a damaged zip archive: {error}") from None
    names = {member.filename for member in members}
    if len(members) > MAX_TENSORS + 100:
        raise ForeignError(f"has {len(members)} members; the limit is {MAX_TENSORS} tensors")
    if len(names) < len(members):
        raise ForeignError("has several members of one name")
    if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members):
        raise ForeignError("has packed members, which torch.save does not write; nothing was unpacked")
    if any(name.endswith("/constants.pkl") for name in names):
        raise ForeignError("is a TorchScript program, not weights: save its state_dict() with torch.save")
    if not any(name.endswith("/data.pkl") or name == "data.pkl" for name in names):
        raise ForeignError("is a zip archive, but no checkpoint of torch.save")


def _reason(text: str) -> str:
    """One line on why torch refused a file; its own explanation is long, and advises to load it unsafely."""
    asked = re.search(r"GLOBAL ([\w.]{1,200})", text)
    if asked:
        return f"asks for {asked[1]}, which no weights need; it was not called"
    own = text.rpartition("WeightsUnpickler error:")[2]
    return f"cannot be read as weights: {_shown(' '.join(own.split()))}"


def _state_dict(loaded: Any) -> tuple[tuple[str, ...], Mapping[Any, Any]]:
    """The dictionary that holds the tensors, and the keys that lead to it from the outermost one."""
    place: tuple[str, ...] = ()
    while isinstance(loaded, dict):
        if any(isinstance(value, Tensor) for value in loaded.values()):
            return place, loaded
        inner = next((name for name in _WRAPPERS if isinstance(loaded.get(name), dict)), None)
        if inner is None or len(place) == _MAX_DEPTH:
            raise ForeignError(
                f"has no tensors: neither at the top nor under {', '.join(_WRAPPERS)}"
                + (f"; it has {', '.join(map(_shown, list(loaded)[:5]))}" if loaded else "")
            )
        place, loaded = (*place, inner), loaded[inner]
    raise ForeignError(f"holds a {type(loaded).__name__}, not tensors by name")


def _check(found: Mapping[Any, Tensor], most_bytes: int) -> None:
    """Raises ForeignError for what a state dict of weights does not have."""
    if len(found) > MAX_TENSORS:
        raise ForeignError(f"has {len(found)} tensors; the limit is {MAX_TENSORS}")
    for complaint in (complaint for name, tensor in found.items() for complaint in _complaints(name, tensor)):
        raise ForeignError(complaint)
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in found.values())
    if claimed > most_bytes:
        raise ForeignError(
            f"claims tensors of {claimed} bytes in all, which do not fit in a file of its size"
        )


def _complaints(name: Any, tensor: Tensor) -> Iterator[str]:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield f"has a tensor under the name {_shown(name)}; names are up to 256 printable ASCII characters"
    if (
        type(tensor) not in (Tensor, nn.Parameter)
        or tensor.layout != torch.strided
        or tensor.device.type != "cpu"
    ):
        kind = f"{type(tensor).__name__}, {tensor.layout}, {tensor.device}"
        yield f"has a tensor {_shown(name)} that is not dense: {kind}"
    if tensor.dtype not in _DTYPES:
        yield f"has a tensor {_shown(name)} of {tensor.dtype}; weights are integers, booleans and real numbers"


def _shown(value: object) -> str:
    """A key or a message of a foreign file, short and inert on a terminal."""
    text = value if isinstance(value, str) else f"<{type(value).__name__}>"
    return ascii(text[:160])[1:-1]
