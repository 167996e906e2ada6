"""Faces cut from frames on the codec's block grid, and stored without loss."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from ffpipe.manifests.errors import IntegrityError
from ffpipe.manifests.records import Box
from ffpipe.stages.window import Fit

Image = NDArray[np.uint8]
CropBox = tuple[int, int, int, int]
#: What the stored pictures are: faces cut out of frames, inputs that were face crops already, whole frames.
Kind = Literal["face", "crop", "whole"]

#: Side in pixels of the blocks that codecs and the statistics use.
BLOCK = 8
#: Filtering by the row above beats OpenCV's default in size (a quarter) and time on decoded video, and zlib's
#: efforts above 1 cost twice the time for a few per cent.
_PNG_OPTIONS = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
#: Largest picture, in pixels, that is stored and that a reader accepts.
MAX_STORED_PIXELS = 8192 * 8192
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class CropSettings:
    """How faces are cut; models remember it, since scores hold for one way of cutting only.

    margin: side over the larger side of the detector's box, before snapping. snap: grid in pixels.
    store_size: long side in pixels above which a crop is downscaled for storing. kind: "face" for faces that are
    found and cut; "crop" where the inputs were face crops already, cut nobody knows how (margin and snap then say
    how faces of whole frames would be cut); "whole" for frames taken whole, never resized: nothing else applies.
    """

    margin: float = 1.3
    snap: int = BLOCK
    store_size: int = 512
    resize_filter: str = "area"
    kind: Kind = "face"

    def __post_init__(self) -> None:
        if not 1 <= self.margin <= 4:
            raise ValueError(f"the crop's margin is between 1 and 4, not {self.margin}")
        if self.snap < BLOCK or self.snap % BLOCK:
            raise ValueError(f"the crop's grid is a multiple of {BLOCK} pixels, not {self.snap}")
        if self.store_size < 2 * BLOCK or self.store_size % BLOCK:
            raise ValueError(f"the stored side is a multiple of {BLOCK} from 16 up, not {self.store_size}")
        if self.resize_filter != "area":
            raise ValueError(f"crops are downscaled by area averaging only, not by {self.resize_filter!r}")
        if self.kind not in get_args(Kind):
            raise ValueError(f"pictures are of the kinds {', '.join(get_args(Kind))}, not {self.kind!r}")

    @property
    def fit(self) -> Fit:
        """How a network is given the pictures: whole ones are cropped, since resizing wipes out the traces."""
        return "crop" if self.kind == "whole" else "resize"

    def fingerprint(self) -> str:
        """16 hexadecimal digits, equal for equal settings on every machine."""
        applied = asdict(self)
        kind = applied.pop("kind")
        # Faces and crops are hashed as they were before there were other kinds: older weights keep their hash.
        hashed = {"kind": kind} if kind == "whole" else {**applied, "ready_made": kind == "crop"}
        return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()[:16]

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Settings from their fields; `ready_made` is how older versions wrote the kind.

        Raises TypeError and ValueError for fields that are unknown or not allowed.
        """
        values = dict(stored)
        if (ready_made := values.pop("ready_made", None)) is not None:
            values["kind"] = "crop" if ready_made else "face"
        return cls(**values)


def crop_box(box: Box, settings: CropSettings = CropSettings()) -> CropBox:  # noqa: B008
    """The square around a detector's box, x0, y0, x1, y1 in frame pixels; it may lie partly outside the frame.

    Side snap * ceil(margin * max(w, h) / snap) + snap, origin at the multiple of snap nearest to the one that
    would centre it: it holds the box scaled by `margin` and is off centre by snap / 2 at most.
    Raises ValueError for a box that is empty or not finite.
    """
    x0, y0, x1, y1 = box
    if not (all(map(math.isfinite, box)) and x1 > x0 and y1 > y0):
        raise ValueError(f"a face box has finite corners and an area, not {box}")
    snap = settings.snap
    side = snap * math.ceil(settings.margin * max(x1 - x0, y1 - y0) / snap) + snap
    left, top = (
        snap * math.floor(((low + high) / 2 - side / 2) / snap + 0.5) for low, high in ((x0, x1), (y0, y1))
    )
    return left, top, left + side, top + side


def too_small(crop: CropBox, width: int, height: int) -> bool:
    """Whether fewer than 2 x 2 whole blocks of the crop show the frame (width x height pixels)."""
    columns = min(crop[2], width) - max(crop[0], 0)
    rows = min(crop[3], height) - max(crop[1], 0)
    return min(columns, rows) < 2 * BLOCK


def cut(frame: Image, crop: CropBox) -> Image:
    """The crop's pixels (side, side, 3), as a copy; outside the frame the nearest edge pixel repeats."""
    height, width = frame.shape[:2]
    x0, y0, x1, y1 = crop
    if x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
        return frame[y0:y1, x0:x1].copy()
    rows = np.arange(y0, y1).clip(0, height - 1)
    columns = np.arange(x0, x1).clip(0, width - 1)
    replicated: Image = frame[rows[:, None], columns]
    return replicated


def crop_for_ready_made(image: Image) -> tuple[CropBox, Image]:
    """An image that is a face crop already: the box of all of it, and its pixels, untouched."""
    height, width = image.shape[:2]
    return (0, 0, width, height), image.copy()


def store(crop: Image, store_size: int = 512) -> Image:
    """The crop as it is stored: downscaled by area averaging where its long side exceeds `store_size`.

    Downscaled sides are multiples of 8, at least 16; smaller crops are returned as they are.
    """
    height, width = crop.shape[:2]
    scale = store_size / max(height, width)
    if scale >= 1:
        return crop
    size = [max(2 * BLOCK, BLOCK * round(side * scale / BLOCK)) for side in (width, height)]
    small: Image = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    return small


def encode_crop(image: Image) -> bytes:
    """RGB uint8 (H, W, 3) as PNG."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _PNG_OPTIONS)
    if not done:
        raise ValueError(f"no PNG can be made of an image of shape {image.shape}")
    return bytes(data)


def decode_crop(data: bytes) -> Image:
    """RGB uint8 (H, W, 3) of a PNG that `encode_crop` wrote. Raises IntegrityError where a byte is wrong."""
    width, height = _checked_png(data)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None or image.shape != (height, width, 3):
        raise IntegrityError("a stored crop cannot be decoded")
    rgb: Image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return rgb


def _checked_png(data: bytes) -> tuple[int, int]:
    """Width and height, after each chunk's checksum; the decoder itself would fill damage with grey."""
    if not data.startswith(_PNG_SIGNATURE):
        raise IntegrityError("a stored crop is no PNG")
    kinds, header, at = [], b"", len(_PNG_SIGNATURE)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data.ljust(at + 8, b"\0"), at)
        end = at + 8 + length
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4].ljust(4, b"\0")):
            raise IntegrityError(f"a stored crop is damaged at byte {at}")
        kinds.append(kind)
        header = header or data[at + 8 : end]
        at = end + 4
    if at != len(data) or len(header) != 13 or kinds[:1] != [b"IHDR"] or kinds[-1:] != [b"IEND"]:
        raise IntegrityError("a stored crop is cut short or has bytes after its end")
    width, height, depth, colour = struct.unpack(">IIBB", header[:10])
    if (depth, colour) != (8, 2) or not 0 < width * height <= MAX_STORED_PIXELS:
        raise IntegrityError(
            f"a stored crop is RGB of 8 bits, up to {MAX_STORED_PIXELS} pixels in all, not {width}x{height}"
        )
    return width, height


def sharpness(image: Image) -> float:
    """Variance of the Laplacian of the luma, in squared grey levels: low for a blurred face."""
    return float(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())
