"""Still pictures: Pillow's readers, forced to the recognised format, up to the pixels."""

from __future__ import annotations

import io
from collections.abc import Iterable

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import FAILED_STATUSES
from ffpipe.stages.decode import Limits
from ffpipe.stages.decode.gate import HEAD_BYTES, recognise
from ffpipe.stages.decode.image import decode_image
from fuzz.seeds import still

#: Small, so that a picture of many pixels is refused instead of decoded.
_LIMITS = Limits(max_pixels=1 << 16)


def seeds() -> Iterable[bytes]:
    """A picture of every kind that is read."""
    return [still(kind) for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF")]


def fuzz_one(data: bytes) -> None:
    """The picture is refused, or has as many pixels as its facts say."""
    try:
        kind, name = recognise(data[:HEAD_BYTES])
        if kind == "image":
            probe, picture = decode_image(io.BytesIO(data), name, _LIMITS)
            assert (picture.width, picture.height) == (probe.width, probe.height)
    except MediaError as error:
        assert error.status in FAILED_STATUSES
        assert "\n" not in error.reason
    except MemoryError:
        return  # the decoding child answers that the medium is too large
