"""Small random changes of a picture's colours and sharpness, as a forgery's two sources differ in them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: Most that each channel is moved by, in grey levels; that hue turns by, in degrees; that saturation and value are
#: multiplied by, as shares; that brightness is moved by, as a share of 255, and contrast multiplied by, as a share.
_CHANNEL, _HUE, _SATURATION, _VALUE, _BRIGHTNESS, _CONTRAST = 16.0, 5.0, 0.2, 0.1, 0.08, 0.12
#: Largest factor that a picture is made smaller by before it is enlarged again; least is 1.5.
_SHRINK = 4.0
#: Share of the detail that sharpening adds.
_SHARPEN = (0.3, 1.0)


def change_photometry(crop: Pixels, random: np.random.Generator) -> Pixels:
    """A copy of RGB (H,W,3) with other colours, another sharpness, or both: one of them changes in any case.

    It always takes as many random numbers.
    """
    chances, amounts = random.random(6), random.uniform(-1, 1, 9)
    colour, sharpness = chances[0] < 0.75, chances[1] < 0.5
    if not (colour or sharpness):
        colour = True
    image = crop.astype(np.float32)
    if colour:
        image = _recoloured(image, chances[2:5].tolist(), amounts)
    if sharpness:
        amount = (float(amounts[8]) + 1) / 2
        image = _coarser(image, amount) if chances[5] < 0.5 else _sharper(image, amount)
    changed: Pixels = np.rint(image).clip(0, 255).astype(np.uint8)
    return changed


def _recoloured(image: Floats, chances: list[float], amounts: npt.NDArray[np.float64]) -> Floats:
    """Channels moved, hue, saturation and value changed, brightness and contrast changed; two of three on average."""
    shift, hue, levels = (chance < 2 / 3 for chance in chances)
    if not (shift or hue or levels):
        shift = True
    if shift:
        image = image + (_CHANNEL * amounts[:3]).astype(np.float32)
    if hue:
        image = _turned(image, *amounts[3:6].tolist())
    if levels:
        contrast, brightness = 1 + _CONTRAST * amounts[6], 255 * _BRIGHTNESS * amounts[7]
        middle = float(image.mean())
        image = ((image - middle) * contrast + middle + brightness).astype(np.float32)
    return image


def _turned(image: Floats, hue: float, saturation: float, value: float) -> Floats:
    hsv: Floats = cv2.cvtColor(image.clip(0, 255) / np.float32(255), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + np.float32(_HUE * hue)) % 360
    hsv[..., 1] = (hsv[..., 1] * (1 + _SATURATION * saturation)).clip(0, 1)
    hsv[..., 2] = (hsv[..., 2] * (1 + _VALUE * value)).clip(0, 1)
    turned: Floats = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * np.float32(255)
    return turned


def _coarser(image: Floats, amount: float) -> Floats:
    """Averaged down by a factor of 1.5 and more, and enlarged back."""
    height, width = image.shape[:2]
    factor = 1.5 + (_SHRINK - 1.5) * amount
    small = (max(2, round(width / factor)), max(2, round(height / factor)))
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    back: Floats = cv2.resize(reduced, (width, height), interpolation=cv2.INTER_CUBIC)
    return back


def _sharper(image: Floats, amount: float) -> Floats:
    """With a share of what a blur of one pixel takes away added once more."""
    low, high = _SHARPEN
    detail = image - cv2.GaussianBlur(image, (0, 0), 1.0)
    sharper: Floats = image + np.float32(low + (high - low) * amount) * detail
    return sharper
