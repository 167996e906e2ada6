"""Decodes still images with Pillow: media of one picture at time 0.

The orientation that a camera noted is applied. Transparency is dropped, the first of several pictures is
taken, and 16-bit grey is cut to its upper 8 bits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Probe, Status
from ffpipe.stages.decode.contract import Limits, Pixels
from ffpipe.stages.decode.gate import Source

#: Clockwise turn that shows the picture upright, by EXIF orientation; mirrored ones have the turn alone.
_TURNS = {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}
_EXIF_ORIENTATION = 0x0112


class StillPicture:
    """A decoded image, upright."""

    __slots__ = ("_rgb", "height", "index", "pts_seconds", "width")

    def __init__(self, rgb: Pixels) -> None:
        self._rgb = rgb
        self.index = 0
        self.pts_seconds = 0.0
        self.height, self.width = rgb.shape[:2]

    def render(self, out: Pixels) -> None:
        """Write upright RGB into out."""
        np.copyto(out, self._rgb)


def read_image(source: Source, limits: Limits) -> tuple[Probe, StillPicture]:
    """An image's facts and its picture.

    Raises:
        MediaError: unreadable, unsupported (32-bit or floating point), or too_large from the header alone.
    """
    with os.fdopen(os.dup(source.descriptor), "rb") as file:
        file.seek(0)
        return decode_image(file, source.format, limits)


def decode_image(file: IO[bytes], name: str, limits: Limits) -> tuple[Probe, StillPicture]:
    """The same of an open file or of bytes in memory, in the format of Pillow's that its first bytes told.

    Raises:
        MediaError: as `read_image`.
    """
    Image.MAX_IMAGE_PIXELS = None  # limits.max_pixels is checked instead
    with _as_media_errors(name), Image.open(file, formats=[name]) as image:
        limits.check_pixels(*image.size)
        rotation = _TURNS.get(image.getexif().get(_EXIF_ORIENTATION, 1), 0)
        upright = _rgb(ImageOps.exif_transpose(image))
        probe = Probe(
            container=name.lower(),
            codec=name.lower(),
            pixel_format=image.mode,
            width=upright.shape[1],
            height=upright.shape[0],
            rotation=rotation,
            duration=0.0,
            frame_count=1,
        )
    return probe, StillPicture(upright)


def _rgb(image: Image.Image) -> Pixels:
    if image.mode in ("I", "F"):
        raise MediaError(Status.UNSUPPORTED, f"pixels of 32 bits (mode {image.mode})")
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.asarray(image.convert("RGB"))


@contextmanager
def _as_media_errors(name: str) -> Iterator[None]:
    """Pillow reports damage by many kinds of exceptions; each says that the file cannot be read."""
    try:
        yield
    except UnidentifiedImageError as error:  # its text names the open file, which is another one each time
        raise MediaError(Status.UNREADABLE, f"{name}: its header is damaged") from error
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        KeyError,
        IndexError,
    ) as error:
        raise MediaError(Status.UNREADABLE, f"{name}: {error}") from error
