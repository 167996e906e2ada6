"""Pictures for a page: small JPEGs as data URIs, re-encoded so that nothing of a stored file's bytes is passed on."""

from __future__ import annotations

import base64

import cv2

from ffpipe.stages.crop import Image

#: Long side, in pixels, above which a picture is downscaled for the page, and the quality of its JPEG.
SIDE, _QUALITY = 256, 88


def data_uri(image: Image, side: int = SIDE) -> str:
    """RGB uint8 (H,W,3) as `data:image/jpeg;base64,…`, its long side `side` pixels at most."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale < 1:
        size = [max(1, round(extent * scale)) for extent in (width, height)]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], 3)
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    if not done:
        raise ValueError(f"no JPEG can be made of an image of shape {image.shape}")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
