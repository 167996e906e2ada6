"""The papers' protocols by the name that `ffpipe reproduce` takes."""

from __future__ import annotations

from ffpipe.manifests.errors import UsageError
from ffpipe.pipeline.reproduction.protocols.faclue import FACLUE
from ffpipe.pipeline.reproduction.protocols.fssnet import FSSNET
from ffpipe.pipeline.reproduction.protocols.protocol import Printed, Protocol, Training, Trial
from ffpipe.pipeline.reproduction.protocols.sfcl_hcmf import SFCL_HCMF
from ffpipe.pipeline.reproduction.protocols.sffb_kd import SFFB_KD
from ffpipe.pipeline.reproduction.protocols.sources import Source

__all__ = ["PROTOCOLS", "Printed", "Protocol", "Source", "Trial", "Training", "get_protocol"]

PROTOCOLS: dict[str, Protocol] = {p.name: p for p in (SFCL_HCMF, SFFB_KD, FACLUE, FSSNET)}


def get_protocol(name: str) -> Protocol:
    """The protocol of this name. Raises UsageError, naming those that there are."""
    if name not in PROTOCOLS:
        raise UsageError(f"no protocol is called {name!r}; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
