"""Video decoders: one contract, several backends, all behind the same gate.

A new backend is one file with a class like `contract.Backend` and one line in DECODERS.
"""

from __future__ import annotations

from importlib import import_module
from typing import cast

from ffpipe.manifests.errors import UsageError
from ffpipe.stages.decode.contract import Backend, Frame, Limits
from ffpipe.stages.decode.decoding import Decoding, Medium
from ffpipe.stages.sampling import Sampling

__all__ = ["DECODERS", "Decoding", "Frame", "Limits", "decode_in_process", "list_decoders", "load_decoder"]

#: Module and class of each decoder; imported only when used.
DECODERS = {
    "pyav": ("ffpipe.stages.decode.pyav", "PyavBackend"),
    "opencv": ("ffpipe.stages.decode.opencv", "OpencvBackend"),
    "decord": ("ffpipe.stages.decode.decord", "DecordBackend"),
}

DEFAULT_DECODER = "pyav"


def list_decoders() -> list[str]:
    """Names of the decoders, the default first."""
    return list(DECODERS)


def load_decoder(name: str) -> Backend:
    """The backend of that name.

    Raises:
        UsageError: unknown name, or its library is not installed.
    """
    if name not in DECODERS:
        raise UsageError(f"no decoder {name!r}; there are {', '.join(DECODERS)}")
    module, attribute = DECODERS[name]
    try:
        return cast(Backend, getattr(import_module(module), attribute)())
    except ImportError as error:
        raise UsageError(f"the decoder {name} cannot be loaded: {error}; pyav is the default") from error


def decode_in_process(
    medium: Medium,
    sampling: Sampling | None = None,
    decoder: str = DEFAULT_DECODER,
    limits: Limits | None = None,
) -> Decoding:
    """Open a file or a sequence of pictures in this process, without the protection of `sandbox.DecodeSandbox`.

    For benchmarks, tests and trusted files: a hostile file can crash or stall the process, and limits on
    time and memory do not bind. Without sampling, what scoring looks at is taken.

    Raises:
        MediaError: the medium cannot be used.
        UsageError: unknown decoder.
    """
    return Decoding(medium, sampling, load_decoder(decoder), limits or Limits())
