"""Runs the child that reads a medium's content credentials, and says what became of it, whatever it did.

What a manifest says is its signer's claim. It stands beside a detector's result and changes nothing in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from io import FileIO
from pathlib import Path
from typing import Any, Literal, Self, get_args

from ffpipe.manifests.content import open_regular
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import display_path
from ffpipe.stages.confined import ChildDied, ChildStalled, ConfinedChild
from ffpipe.stages.decode.channel import Message

State = Literal["absent", "valid", "untrusted", "invalid", "unreadable"]

PACKAGE = "c2pa-python"
_CHILD = "ffpipe.stages.credentials.child"
#: What a manifest that lies in a file, or a note of one that lies elsewhere, cannot do without.
_MARKS = (b"c2pa", b"jumb", b"dcterms:provenance")
_BLOCK = 1 << 22
#: CPU seconds for any file, and bytes of it that take one more: each is hashed as the manifest asks.
_SECONDS, _BYTES_PER_SECOND = 30.0, 20 << 20
#: Seconds that the library may take to start, and what a second of work may take, on a crowded machine.
_START_SECONDS, _CROWD = 120.0, 4
#: Bounds on what is believed of the child: bytes of a trust list, characters of a text, texts of a list.
_MAX_TRUST, _MAX_TEXT, _MAX_LISTED = 16 << 20, 1000, 20


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the content credentials of a medium are.

    state: absent; valid (its seals fit, and the trust list vouches for the signer); untrusted (its seals fit, and
    nothing vouches for the signer); invalid (something does not fit: `failures`); unreadable (`problem`).
    failures and passed are the C2PA specification's validation codes. signed_at is the time that a time-stamping
    authority gave. claims_ai: a manifest names a trained model as a source of the picture. trust_list is the SHA-256
    of the trust list's file.
    """

    state: State
    failures: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    generator: str | None = None
    title: str | None = None
    issuer: str | None = None
    signer: str | None = None
    signed_at: str | None = None
    actions: tuple[str, ...] = ()
    ingredients: int = 0
    assertions: int = 0
    claims_ai: bool = False
    problem: str | None = None
    trust_list: str | None = None
    library: str | None = None

    def to_json(self) -> str:
        """One line of ASCII, with sorted keys; what there is none of is left out."""
        told = {name: value for name, value in asdict(self).items() if value}
        return json.dumps(told, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class TrustList:
    """Certificates of signers, or of those who vouch for them, as PEM."""

    pem: bytes

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises UsageError where that is no such file."""
        try:
            with open_regular(path) as file:
                pem = file.read(_MAX_TRUST + 1) or b""
        except OSError as error:
            raise UsageError(
                f"--c2pa-trust {display_path(path)}: cannot be read: {error.strerror or error}"
            ) from None
        if b"-----BEGIN CERTIFICATE-----" not in pem or len(pem) > _MAX_TRUST:
            raise UsageError(
                f"--c2pa-trust {display_path(path)}: no certificates as PEM, of at most {_MAX_TRUST >> 20} MiB"
            )
        return cls(pem)

    @property
    def sha256(self) -> str:
        """Hash of the file, hex."""
        return hashlib.sha256(self.pem).hexdigest()

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor from which the list can be read."""
        descriptor = os.memfd_create("ffpipe-trust", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "w+b") as file:
            file.write(self.pem)
            file.flush()
            file.seek(0)
            yield descriptor


@cache
def library() -> str | None:
    """The library that reads credentials and its version, or None where the extra `c2pa` is not installed."""
    try:
        return f"{PACKAGE} {version(PACKAGE)}"
    except PackageNotFoundError:
        return None


def read_credentials(path: str, trust: TrustList | None = None, seconds: float = _SECONDS) -> Credentials:
    """The credentials of a medium that anybody may have made, read in a child without network, bounded and killable.

    A file without a trace of a manifest starts no child. `seconds` of the processor are granted, and more for a large
    file. Raises OSError where the file cannot be opened.
    """
    facts: dict[str, Any] = {"state": "absent"}
    with open_regular(path) as file:
        if _marked(file):
            file.seek(0)
            granted = seconds + os.fstat(file.fileno()).st_size / _BYTES_PER_SECOND
            facts = _child_s(file.fileno(), trust, granted)
    return Credentials(**facts, trust_list=trust.sha256 if trust else None, library=library())


def _marked(file: FileIO) -> bool:
    """Whether a mark of a manifest stands anywhere in the file: a search for bytes, which reads nothing into them."""
    overlap = max(map(len, _MARKS)) - 1
    tail = b""
    while block := file.read(_BLOCK):
        text = tail + block
        if any(mark in text for mark in _MARKS):
            return True
        tail = text[-overlap:]
    return False


def _child_s(medium: int, trust: TrustList | None, seconds: float) -> dict[str, Any]:
    """What the child says of the medium, or of how it ended."""
    if trust is None:
        return _heard([medium], [str(medium), "-1", str(seconds)], seconds)
    with trust.opened() as listed:
        return _heard([medium, listed], [str(medium), str(listed), str(seconds)], seconds)


def _heard(descriptors: list[int], settings: list[str], seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + _START_SECONDS + _CROWD * seconds
    with ConfinedChild(_CHILD, settings, descriptors) as child:
        try:
            return _checked(child.receive(deadline))
        except ChildStalled:
            return _unreadable("its reader was not done in time and was killed")
        except ChildDied as error:
            if error.signal == signal.SIGXCPU:
                return _unreadable("its reader used up its CPU seconds")
            return _unreadable(error.told("its reader died"))


def _unreadable(problem: str) -> dict[str, Any]:
    return {"state": "unreadable", "problem": display_path(problem)[:_MAX_TEXT]}


def _checked(message: Message) -> dict[str, Any]:
    """A child's message as values of `Credentials`, believed no further than a stranger's."""
    kind = message.pop("kind", None)
    if kind == "error":
        return _unreadable(str(message.get("reason")))
    known = {field.name: field.type for field in fields(Credentials)}
    if message.get("state") not in get_args(State) or not message.keys() <= known.keys() - {
        "library",
        "trust_list",
    }:
        return _unreadable("its reader said nothing sound")
    try:
        return {
            name: message[name] if name == "state" else _value(str(known[name]), message[name])
            for name in message
        }
    except TypeError:
        return _unreadable("its reader said nothing sound")


def _value(kind: str, value: Any) -> Any:
    """A value of a field's type, texts inert and bounded. Raises TypeError for another."""
    if kind == "tuple[str, ...]" and isinstance(value, list):
        return tuple(_text(each) for each in value[:_MAX_LISTED])
    if kind == "str | None" and (value is None or isinstance(value, str)):
        return None if value is None else _text(value)
    if kind in ("int", "bool") and type(value).__name__ == kind:
        return value
    raise TypeError(f"{type(value).__name__} for {kind}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return display_path(value[:_MAX_TEXT])
