"""One contract for all decoders: same times, same pictures, upright once, on the same clips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from media import Clip, make_clip, make_gif, read_number

from ffpipe.manifests.errors import MediaError, UsageError
from ffpipe.stages.decode import Limits, list_decoders, load_decoder
from ffpipe.stages.decode.sandbox import DecodeSandbox
from ffpipe.stages.sampling import Sampling

HEALTHY = [
    "plain",
    "variable_rate",
    "odd_size",
    "one_frame",
    "b_frames",
    "b_frames_offset",
    "ten_bit",
    "mpeg4",
    "rotated_90",
    "rotated_180",
    "rotated_270",
]
#: Matrix and range as FFmpeg numbers them; None says nothing, as most files do.
COLOURS = {"untagged": None, "709": (1, 1), "709 full": (1, 2), "601": (5, 1), "601 full": (5, 2)}
#: Mean absolute difference allowed between decoders, in levels of 255.
TOLERANCE = 2.0

Decoded = list[tuple[int, float, np.ndarray]]


@pytest.fixture(scope="module")
def sandboxes() -> Iterator[dict[str, DecodeSandbox]]:
    opened = {name: DecodeSandbox(name, Limits(wall_seconds=30)) for name in list_decoders()}
    yield opened
    for one in opened.values():
        one.close()


def decode(sandbox: DecodeSandbox, path: Path, sampling: Sampling) -> Decoded:
    return [(frame.index, frame.pts_seconds, frame.rgb.copy()) for frame in sandbox.open(path, sampling)]


@pytest.mark.parametrize("decoder", list_decoders())
@pytest.mark.parametrize("name", HEALTHY)
def test_every_frame_comes_at_its_time_and_upright(
    sandboxes: dict[str, DecodeSandbox], healthy: dict[str, Clip], decoder: str, name: str
) -> None:
    clip = healthy[name]
    medium = sandboxes[decoder].open(clip.path, Sampling.of_all())
    frames = [(frame.index, frame.pts_seconds, read_number(frame.rgb), frame.rgb.shape) for frame in medium]
    assert [index for index, *_ in frames] == list(range(clip.frames))
    assert [pts for _, pts, *_ in frames] == pytest.approx(list(clip.pts), abs=1e-6)
    assert [number for _, _, number, _ in frames] == list(range(clip.frames))
    assert {shape for *_, shape in frames} == {(clip.height, clip.width, 3)}
    assert (medium.partial_reason, medium.targets, medium.covered) == (None, clip.frames, clip.frames)
    assert (medium.probe.width, medium.probe.height) == (clip.width, clip.height)
    assert medium.probe.rotation == clip.rotation
    assert medium.probe.duration == pytest.approx(clip.duration, abs=0.05)


@pytest.mark.parametrize("decoder", list_decoders()[1:])
@pytest.mark.parametrize("name", HEALTHY)
def test_decoders_agree_with_the_default(
    sandboxes: dict[str, DecodeSandbox], healthy: dict[str, Clip], decoder: str, name: str
) -> None:
    path, sampling = healthy[name].path, Sampling.of_count(7)
    assert_equal(decode(sandboxes["pyav"], path, sampling), decode(sandboxes[decoder], path, sampling))


def assert_equal(expected: Decoded, found: Decoded) -> None:
    assert [(index, pts) for index, pts, _ in found] == [(index, pts) for index, pts, _ in expected]
    for (index, _, ours), (_, _, theirs) in zip(expected, found, strict=True):
        difference = np.abs(ours.astype(int) - theirs).mean()
        assert difference <= TOLERANCE, f"picture {index} differs by {difference:.2f} levels"


@pytest.mark.parametrize("decoder", list_decoders())
@pytest.mark.parametrize("colour", COLOURS)
def test_colours_are_made_with_the_stream_s_own_matrix_and_range(
    sandboxes: dict[str, DecodeSandbox], tmp_path: Path, decoder: str, colour: str
) -> None:
    """What was painted comes back; a wrong matrix or range would be off by 5 levels and more."""
    clip = make_clip(tmp_path / "c.mp4", frames=3, colour=COLOURS[colour], paint=patches, size=(192, 128))
    for index, _, rgb in decode(sandboxes[decoder], clip.path, Sampling.of_all()):
        difference = np.abs(rgb.astype(int) - patches(index, 192, 128)).mean()
        assert difference < TOLERANCE, f"picture {index} differs by {difference:.2f} levels"


def patches(index: int, width: int, height: int) -> np.ndarray:
    colours = np.array(
        [[200, 40, 40], [40, 200, 40], [40, 40, 200], [210, 210, 60], [128, 128, 128], [20, 90, 90]]
    )
    tile = np.kron(colours.reshape(2, 3, 3), np.ones((height // 2, width // 3, 1)))
    return (tile + index).astype(np.uint8)


def test_gif_is_a_video_for_those_who_read_it(sandboxes: dict[str, DecodeSandbox], tmp_path: Path) -> None:
    clip = make_gif(tmp_path / "a.gif")
    expected = decode(sandboxes["pyav"], clip.path, Sampling.of_all())
    assert [read_number(rgb) for _, _, rgb in expected] == list(range(clip.frames))
    assert_equal(expected, decode(sandboxes["opencv"], clip.path, Sampling.of_all()))
    with pytest.raises(MediaError, match="unreadable: decord"):
        sandboxes["decord"].open(clip.path, Sampling.of_all()).__iter__().__next__()


@pytest.mark.parametrize("decoder", list_decoders())
@pytest.mark.parametrize(
    "name", ["zero_bytes", "text", "random", "truncated_header", "audio_only", "cover_only"]
)
def test_what_is_no_video_gets_its_status_from_every_decoder(
    sandboxes: dict[str, DecodeSandbox], damaged: dict[str, Clip], decoder: str, name: str
) -> None:
    with pytest.raises(MediaError) as caught:
        sandboxes[decoder].open(damaged[name].path, Sampling.of_count(4))
    assert caught.value.status == damaged[name].status


def test_a_cut_file_by_decoder(sandboxes: dict[str, DecodeSandbox], damaged: dict[str, Clip]) -> None:
    """PyAV and OpenCV keep what is there and say what is not; decord reads all or nothing."""
    for decoder in ("pyav", "opencv"):
        medium = sandboxes[decoder].open(damaged["cut"].path, Sampling.of_count(10))
        numbers = [read_number(frame.rgb) for frame in medium]
        assert numbers == [5, 15, 25, 35, 45, 55], "what lies beyond the cut is missing, not replaced"
        assert (medium.targets, medium.covered) == (10, 6)
        assert str(medium.partial_reason).startswith("decoded 6 of 10 sampled frames: ")
    with pytest.raises(MediaError, match="unreadable: decord"):
        list(sandboxes["decord"].open(damaged["cut"].path, Sampling.of_count(10)))


def test_decord_is_not_asked_for_what_it_miscounts(
    sandboxes: dict[str, DecodeSandbox], tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "p.mpg", codec="mpeg1video", frames=8)
    with pytest.raises(MediaError, match="unsupported: decord returns wrong frames of mpeg files"):
        list(sandboxes["decord"].open(clip.path, Sampling.of_count(2)))


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    ["hostile/torchcodec_bt601_full_range.mp4", "real/pyfeat_face_noface.mov", "real/hamilton_short.mp4"],
)
def test_decoders_agree_on_real_clips(sandboxes: dict[str, DecodeSandbox], clips: Path, name: str) -> None:
    expected = decode(sandboxes["pyav"], clips / name, Sampling.of_count(6))
    for decoder in list_decoders()[1:]:
        assert_equal(expected, decode(sandboxes[decoder], clips / name, Sampling.of_count(6)))


@pytest.mark.data
def test_high_dynamic_range_by_decoder(sandboxes: dict[str, DecodeSandbox], clips: Path) -> None:
    """OpenCV would change the colours and refuses; decord differs above 8 bits by its coarser chroma alone."""
    path = clips / "hostile/torchcodec_bt2020_10bit.mp4"
    expected = decode(sandboxes["pyav"], path, Sampling.of_count(2))
    with pytest.raises(MediaError, match=r"unsupported: OpenCV changes BT\.2020"):
        list(sandboxes["opencv"].open(path, Sampling.of_count(2)))
    for (_, _, ours), (_, _, theirs) in zip(
        expected, decode(sandboxes["decord"], path, Sampling.of_count(2)), strict=True
    ):
        assert np.abs(ours.astype(int) - theirs).mean() < 4.0


def test_unknown_decoders_are_named() -> None:
    with pytest.raises(UsageError, match="no decoder 'ffmpeg'; there are pyav, opencv, decord"):
        load_decoder("ffmpeg")
    with pytest.raises(UsageError, match="no decoder"):
        DecodeSandbox("ffmpeg")
