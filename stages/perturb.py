"""Damage that pictures meet on their way: JPEG, blur, noise, resizing and H.264, of a stated strength.

Robustness curves and robustness augmentation share it, and it knows no label: real and fake are treated alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a strength means: unit in words, least and most allowed, and the levels of a curve, mildest first."""

    unit: str
    least: float
    most: float
    levels: tuple[float, ...]


KINDS = {
    "h264": Kind("H.264 constant rate factor", 0, 51, (18, 23, 28, 34, 40, 46)),
    "jpeg": Kind("JPEG quality", 1, 100, (95, 80, 60, 40, 20, 10)),
    "blur": Kind("Gaussian blur, sigma in pixels", 0, 50, (0.5, 1, 2, 3, 5)),
    "noise": Kind("Gaussian noise, standard deviation in grey levels", 0, 255, (2, 5, 10, 20, 40)),
    "resize": Kind("scale of both sides, then enlarged back", 0.01, 1, (0.75, 0.5, 0.35, 0.25, 0.15)),
}


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One kind of damage at one strength, in the unit that KINDS names.

    Raises ValueError where there is no such kind, or the strength is outside its range.
    """

    kind: str
    strength: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no perturbation {self.kind!r}; there are {', '.join(KINDS)}")
        known = KINDS[self.kind]
        if isinstance(self.strength, bool) or not known.least <= self.strength <= known.most:
            raise ValueError(
                f"{self.kind}={self.strength!r} ({known.unit}): {known.least:g} to {known.most:g} are allowed"
            )

    def apply(self, crop: Pixels, random: np.random.Generator) -> Pixels:
        """A damaged copy of RGB (H,W,3) uint8, of the same size.

        Only noise draws random numbers; everything else depends on the pixels alone. A blur or noise of 0 and a
        resize of 1 return an equal picture.
        """
        return _ACTIONS[self.kind](crop, self.strength, random)


def jpeg(crop: Pixels, quality: float) -> Pixels:
    """Baseline JPEG with halved chroma; the quality is rounded to a whole number."""
    encoded, data = cv2.imencode(
        ".jpg",
        np.ascontiguousarray(crop[:, :, ::-1]),
        [cv2.IMWRITE_JPEG_QUALITY, round(quality), cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
         cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420],
    )  # fmt: skip
    if not encoded:
        raise ValueError(f"a picture of shape {crop.shape} cannot be written as JPEG")
    bgr = cast(Pixels, cv2.imdecode(data, cv2.IMREAD_COLOR))
    return np.ascontiguousarray(bgr[:, :, ::-1])


def blur(crop: Pixels, sigma: float) -> Pixels:
    """Gaussian blur of sigma pixels, the border mirrored."""
    if sigma == 0:
        return crop.copy()
    return cast(Pixels, cv2.GaussianBlur(crop, (0, 0), sigma))


def noise(crop: Pixels, deviation: float, random: np.random.Generator) -> Pixels:
    """Independent Gaussian noise in every pixel and channel, rounded and cut to 0..255."""
    drawn = random.standard_normal(crop.shape, np.float32)
    return np.clip(np.rint(crop + deviation * drawn), 0, 255).astype(np.uint8)


def resize(crop: Pixels, scale: float) -> Pixels:
    """Averaged down to `scale` of width and height (at least one pixel) and enlarged back bilinearly."""
    height, width = crop.shape[:2]
    small = (max(round(width * scale), 1), max(round(height * scale), 1))
    if small == (width, height):
        return crop.copy()
    reduced = cv2.resize(crop, small, interpolation=cv2.INTER_AREA)
    return cast(Pixels, cv2.resize(reduced, (width, height), interpolation=cv2.INTER_LINEAR))


def h264(crop: Pixels, rate_factor: float) -> Pixels:
    """What is left of the picture as a key frame of H.264, 4:2:0, at a constant rate factor.

    A side of odd length is padded by its last line for the encoder, which takes even ones only, and cut again.
    One thread: the outcome of libx264 depends on their number. OpenCV converts the colours (BT.601, limited
    range), because FFmpeg's way back to RGB darkens a picture by about one grey level.
    """
    height, width = crop.shape[:2]
    even = np.pad(crop, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    planes = cv2.cvtColor(even, cv2.COLOR_RGB2YUV_I420)
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = even.shape[1], even.shape[0], "yuv420p"
    encoder.framerate, encoder.thread_count = Fraction(25), 1
    encoder.options = {"crf": f"{rate_factor:g}", "x264-params": "keyint=1:rc-lookahead=0:log-level=none"}
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    packets = [*encoder.encode(frame), *encoder.encode(None), None]
    (decoded,) = (shown for packet in packets for shown in decoder.decode(packet))
    pixels = cv2.cvtColor(decoded.to_ndarray(), cv2.COLOR_YUV2RGB_I420)
    return cast(Pixels, np.ascontiguousarray(pixels[:height, :width]))


_ACTIONS: dict[str, Callable[[Pixels, float, np.random.Generator], Pixels]] = {
    "h264": lambda crop, strength, _: h264(crop, strength),
    "jpeg": lambda crop, strength, _: jpeg(crop, strength),
    "blur": lambda crop, strength, _: blur(crop, strength),
    "noise": noise,
    "resize": lambda crop, strength, _: resize(crop, strength),
}
