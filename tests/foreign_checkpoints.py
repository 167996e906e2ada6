"""Makes foreign checkpoints: sound ones, and those of people who mean harm. A canary file shows that code was run."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


class Touch:
    """Unpickled without care, makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


class Evaluate(Touch):
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"open({str(self.canary)!r}, 'w').close()",)


class Deep(Touch):
    """The harm stands in the state of a harmless object's argument."""

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, ([("a", [Touch(self.canary)])],)


def _tensors() -> dict[str, Tensor]:
    return {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}


def rewrite(path: Path, change: Callable[[str, bytes], bytes], method: int = zipfile.ZIP_STORED) -> None:
    """Write the members of a zip anew, each changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))


def with_pickle(path: Path, content: bytes) -> None:
    """A checkpoint whose pickle is this."""
    torch.save(_tensors(), path)
    rewrite(path, lambda name, old: content if name.endswith("data.pkl") else old)


def _bytearray_bomb() -> bytes:
    return b"\x80\x02cbuiltins\nbytearray\n(\x8a\x06" + (10**14).to_bytes(6, "little") + b"tR."


def hash_bomb() -> bytes:
    """A key of 2^64 leaves, of a few bytes: pairs of pairs, each the same object twice."""
    pairs = b"".join(b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86q" + bytes([n + 1]) for n in range(64))
    return b"\x80\x02}(K\x01q\x00" + pairs + b"h\x40K\x01u."


def _legacy_claim(path: Path) -> None:
    torch.save({"a": torch.zeros(70_000)}, path, _use_new_zipfile_serialization=False)
    claim = struct.pack("<i", 70_000)
    path.write_bytes(path.read_bytes().replace(b"J" + claim, b"J" + struct.pack("<i", 2**31 - 1)))


def _zip_claim(path: Path) -> None:
    torch.save({"a": torch.zeros(70_000)}, path)
    claim, lie = (b"J" + struct.pack("<i", number) for number in (70_000, 2**31 - 1))
    rewrite(path, lambda name, old: old.replace(claim, lie))


def _zip_bomb(path: Path) -> None:
    torch.save(_tensors(), path)
    rewrite(path, lambda name, old: old + bytes(4 << 20) * name.endswith("data/0"), zipfile.ZIP_DEFLATED)


def _twice(path: Path) -> None:
    torch.save(_tensors(), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(next(n for n in archive.namelist() if n.endswith("data.pkl")), b"other")


def _cut(path: Path) -> None:
    torch.save(_tensors(), path)
    path.write_bytes(path.read_bytes()[:-200])


def _tar(path: Path) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            content = pickle.dumps({})
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def _script(path: Path) -> None:
    torch.save(_tensors(), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/constants.pkl", b"")


def header(content: dict[str, Any] | bytes, data: bytes = bytes(16)) -> bytes:
    """A safetensors file of this header."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(first: int, last: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


_WHOLE = json.dumps(entry(0, 16, [4]))
#: Headers that lie. None but the last two would be refused by every reader.
SAFETENSORS = {
    "overlap": header({"a": entry(0, 16, [4]), "b": entry(8, 16, [2])}),
    "negative-size": header({"a": entry(0, 16, [-4])}),
    "negative-offset": header({"a": entry(-16, 0, [4])}),
    "huge-shape": header({"a": entry(0, 16, [2**40, 2**40])}),
    "empty-and-huge": header({"a": entry(0, 16, [4]), "b": entry(16, 16, [0, 2**63, 4])}),
    "huge-header": struct.pack("<Q", 2**40) + b"{" + bytes(64),
    "long-header": struct.pack("<Q", 2**62) + b"{}",
    "cut": header({"a": entry(0, 16, [4])})[:-5],
    "appended": header({"a": entry(0, 16, [4])}) + b"PK\x03\x04",
    "strange-dtype": header({"a": entry(0, 16, [32], "F4")}),
    "deep-json": header(b"[" * 100_000),
    "no-text": header(b'{"\xff": 1}'),
    "repeated-name": header(f'{{"a": {_WHOLE}, "a": {_WHOLE}}}'.encode()),
    "complex": header({"a": entry(0, 16, [2], "C64")}),
}


@dataclass(frozen=True)
class Hostile:
    """A maker of a file (path, canary), what is said of it, and whether it may be read outside the child."""

    make: Callable[[Path, Path], object]
    says: str
    tame: bool = True


def _bytes(content: bytes) -> Callable[[Path, Path], object]:
    return lambda path, canary: path.write_bytes(content)


def _saved(make: Callable[[Path], object], **how: Any) -> Callable[[Path, Path], object]:
    return lambda path, canary: torch.save(make(canary), path, **how)


OLD = {"_use_new_zipfile_serialization": False}
CASES = {
    "system": Hostile(_saved(lambda c: {"state_dict": {**_tensors(), "x": Touch(c)}}), "asks for posix.system"),
    "system-old": Hostile(_saved(lambda c: {**_tensors(), "x": Touch(c)}, **OLD), "asks for posix.system"),
    "eval": Hostile(_saved(lambda c: Evaluate(c)), "asks for eval"),
    "nested": Hostile(_saved(lambda c: [Deep(c)]), "asks for dict"),
    "plain-pickle": Hostile(
        lambda path, canary: path.write_bytes(pickle.dumps(Touch(canary))), "is no checkpoint of torch.save"
    ),
    "pickle-in-zip": Hostile(
        lambda path, canary: with_pickle(path, pickle.dumps(Touch(canary), 2)), "asks for posix.system"
    ),
    "memory": Hostile(lambda path, _: with_pickle(path, _bytearray_bomb()), "more memory|cannot be read", tame=False),
    "legacy-claim": Hostile(lambda path, _: _legacy_claim(path), "memory|cannot be read", tame=False),
    "zip-claim": Hostile(lambda path, _: _zip_claim(path), "cannot be read|do not fit", tame=False),
    "stride-claim": Hostile(_saved(lambda _: {"a": torch.zeros(1).expand(1 << 40)}), "claims tensors of 4398046511104"),
    "zip-bomb": Hostile(lambda path, _: _zip_bomb(path), "packed members"),
    "twice": Hostile(lambda path, _: _twice(path), "several members of one name"),
    "cut": Hostile(lambda path, _: _cut(path), "damaged zip archive"),
    "tar": Hostile(lambda path, _: _tar(path), "is a tar file"),
    "script": Hostile(lambda path, _: _script(path), "TorchScript"),
    "many": Hostile(
        _saved(lambda _: dict.fromkeys([f"t{n}" for n in range(100_000)], torch.zeros(1)), **OLD),
        "100000 tensors",
        tame=False,
    ),
    "list": Hostile(_saved(lambda _: [torch.zeros(2)]), "holds a list"),
    "no-tensors": Hostile(_saved(lambda _: {"epoch": 3}), "has no tensors.*it has epoch"),
    "escape-name": Hostile(_saved(lambda _: {"\x1b[2Ja\n": torch.zeros(2)}), r"under the name \\x1b\[2Ja\\n"),
    "number-name": Hostile(_saved(lambda _: {7: torch.zeros(2)}), "under the name <int>"),
    "sparse": Hostile(_saved(lambda _: {"a": torch.eye(3).to_sparse()}), "not dense|cannot be read"),
    "meta": Hostile(_saved(lambda _: {"a": torch.zeros(3, device="meta")}), "not dense.*meta"),
    "complex": Hostile(_saved(lambda _: {"a": torch.zeros(3, dtype=torch.complex64)}), "complex64"),
    "empty": Hostile(_bytes(b""), "is no checkpoint"),
    "text": Hostile(_bytes(b"version https://git-lfs.github.com/spec/v1\n" * 9), "is no checkpoint"),
    "random": Hostile(_bytes(bytes(range(256)) * 8), "is no checkpoint"),
    **{f"safetensors-{name}": Hostile(_bytes(data), "safetensors|of torch.(complex64|float4)|is no checkpoint")
       for name, data in SAFETENSORS.items()},
}  # fmt: skip
