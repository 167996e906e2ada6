"""Still images are media of one upright picture at time 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from media import numbered, read_number
from PIL import Image

from ffpipe.manifests.errors import MediaError
from ffpipe.stages.decode import Limits, decode_in_process
from ffpipe.stages.decode.sandbox import DecodeSandbox

WIDTH, HEIGHT = 96, 64


def write(path: Path, mode: str = "RGB", **options: object) -> Path:
    Image.fromarray(numbered(37, WIDTH, HEIGHT)).convert(mode).save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "jpg", "webp"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"x.{suffix}", **({"quality": 95} if suffix in ("jpg", "webp") else {}))
    renamed = path.rename(tmp_path / "no-suffix")
    with DecodeSandbox() as sandbox:
        medium = sandbox.open(renamed)
        (frame,) = medium
        assert (frame.index, frame.pts_seconds) == (0, 0.0)
        assert read_number(frame.rgb) == 37
        assert np.abs(frame.rgb.astype(int) - numbered(37, WIDTH, HEIGHT)).mean() < 6
    assert (medium.targets, medium.covered, medium.partial_reason) == (1, 1, None)
    assert (medium.probe.width, medium.probe.height, medium.probe.duration) == (WIDTH, HEIGHT, 0.0)


@pytest.mark.parametrize(("orientation", "turn"), [(3, 180), (6, 90), (8, 270)])
def test_the_camera_s_orientation_is_applied_once(tmp_path: Path, orientation: int, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.rot90(numbered(37, WIDTH, HEIGHT), turn // 90)
    Image.fromarray(stored).save(tmp_path / "x.jpg", exif=exif, quality=95)
    with decode_in_process(tmp_path / "x.jpg") as decoding:
        (frame,) = decoding
        assert read_number(frame.rgb) == 37
    assert decoding.probe.rotation == turn


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_pixel_modes(tmp_path: Path, mode: str) -> None:
    with decode_in_process(write(tmp_path / "x.tiff", mode)) as decoding:
        (frame,) = decoding
        assert frame.rgb.shape == (HEIGHT, WIDTH, 3)


def test_sixteen_bit_grey_keeps_its_upper_half(tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, 64 * 96).reshape(64, 96).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "x.png")
    with decode_in_process(tmp_path / "x.png") as decoding:
        (frame,) = decoding
        np.testing.assert_array_equal(frame.rgb[..., 1], (grey >> 8).astype(np.uint8))


def test_floating_point_pixels_are_unsupported(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="unsupported: pixels of 32 bits"):
        decode_in_process(write(tmp_path / "x.tiff", "F"))


def test_the_size_is_refused_from_the_header(tmp_path: Path) -> None:
    path = write(tmp_path / "x.png")
    with decode_in_process(path, limits=Limits(max_pixels=WIDTH * HEIGHT)) as decoding:
        assert len(list(decoding)) == 1
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(MediaError, match="too_large: 96x64 pixels"):
        decode_in_process(path, limits=Limits(max_pixels=WIDTH * HEIGHT - 1))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "bmp"])
def test_half_an_image_is_unreadable(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"x.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError) as caught:
        decode_in_process(path)
    assert caught.value.status == "unreadable"
