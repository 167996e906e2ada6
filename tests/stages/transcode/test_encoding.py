"""Copies have their source's pictures at its times, upright, at its size, and nothing else."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from media import damaged_files, healthy_clips, make_clip, make_gif, make_variable_rate, read_number

from ffpipe.manifests.errors import MediaError
from ffpipe.stages.decode import Decoding, Limits, decode_in_process, load_decoder
from ffpipe.stages.sampling import Sampling
from ffpipe.stages.transcode.encoding import pixel_format, transcode


def copies(source: Path, folder: Path, *rates: int):
    outputs = {crf: str(folder / f"{source.stem}-c{crf}.mp4") for crf in rates}
    with Decoding(source, Sampling.of_all(), load_decoder("pyav"), Limits()) as decoding:
        return transcode(decoding, outputs), [Path(path) for path in outputs.values()]


def frames(path: Path, sampling: Sampling):
    decoding = decode_in_process(path, sampling)
    return [(frame.index, frame.pts_seconds, frame.rgb.copy()) for frame in decoding], decoding.probe


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("clips")
    return {**healthy_clips(folder), "gif": make_gif(folder / "loop.gif")}


@pytest.mark.parametrize(
    "name",
    ["plain", "variable_rate", "odd_size", "one_frame", "b_frames", "b_frames_offset", "ten_bit", "mpeg4",
     "rotated_90", "rotated_180", "rotated_270", "gif"],
)  # fmt: skip
@pytest.mark.parametrize("sampling", [Sampling.of_all(), Sampling.of_count(5)], ids=["all", "five"])
def test_a_copy_shows_the_same_pictures_at_the_same_times(clips, name, sampling, tmp_path):
    facts, (good, poor) = copies(clips[name].path, tmp_path, 20, 40)
    source, probe = frames(clips[name].path, sampling)
    assert facts.frames == len(clips[name].pts)
    for path in (good, poor):
        copy, other = frames(path, sampling)
        assert [index for index, _, _ in copy] == [index for index, _, _ in source]
        offset = copy[0][1] - source[0][1]
        for (_, own, _), (_, given, _) in zip(copy, source, strict=True):
            assert own - given == pytest.approx(offset, abs=1e-4)
        assert (other.width, other.height, other.rotation) == (probe.width, probe.height, probe.rotation)
        assert other.frame_count == probe.frame_count
        assert copy[0][2].shape == source[0][2].shape
    errors = [
        np.abs(frames(path, sampling)[0][0][2].astype(float) - source[0][2]).mean() for path in (good, poor)
    ]
    assert errors[0] < errors[1] < 30


def test_numbers_drawn_into_a_rotated_clip_stay_readable(clips, tmp_path):
    _, (copy,) = copies(clips["rotated_90"].path, tmp_path, 23)
    assert [read_number(rgb) for _, _, rgb in frames(copy, Sampling.of_all())[0]] == list(range(6))


def test_the_length_of_a_variable_rate_is_kept(tmp_path):
    clip = make_variable_rate(tmp_path / "variable.mp4")
    _, (copy,) = copies(clip.path, tmp_path, 40)
    lengths = [decode_in_process(path, Sampling.of_count(3)).probe.duration for path in (clip.path, copy)]
    assert lengths[0] == pytest.approx(lengths[1], abs=1e-4)


def test_copies_are_h264_at_the_rate_factor_without_sound(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4")
    _, (first,) = copies(clip.path, tmp_path, 31)
    content = first.read_bytes()
    assert b"rc=crf" in content and b"crf=31.0" in content and b"subme=7" in content, (
        "x264's own note of settings"
    )
    with av.open(str(first)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        assert container.streams.video[0].codec_context.name == "h264"


@pytest.mark.parametrize(
    ("given", "size", "expected"),
    [
        ("yuv420p", (64, 48), "yuv420p"),
        ("yuv420p", (65, 48), "yuv444p"),
        ("yuv420p", (64, 47), "yuv444p"),
        ("yuvj420p", (64, 48), "yuvj420p"),
        ("yuv422p", (64, 47), "yuv422p"),
        ("yuv422p", (65, 48), "yuv444p"),
        ("yuv444p", (65, 47), "yuv444p"),
        ("yuv420p10le", (64, 48), "yuv420p"),
        ("yuva420p", (64, 48), "yuv420p"),
        ("nv12", (64, 48), "yuv420p"),
        ("gray", (64, 48), "yuv420p"),
        ("rgb24", (64, 48), "yuv444p"),
        ("pal8", (64, 48), "yuv444p"),
    ],
)
def test_chroma_is_kept_as_fine_as_it_is(given, size, expected):
    frame = av.VideoFrame(*size, given)
    if given == "yuvj420p":
        frame.color_range = 2
    assert pixel_format(frame) == expected


def test_colours_stay_as_tagged(tmp_path):
    clip = make_clip(tmp_path / "full.mp4", colour=(1, 2), frames=4)
    _, (copy,) = copies(clip.path, tmp_path, 10)
    source, made = (frames(path, Sampling.of_all())[0][0][2].astype(float) for path in (clip.path, copy))
    assert abs((source - made).mean()) < 1.5


@pytest.mark.parametrize("name", ["cut", "truncated_header", "audio_only", "text", "zero_bytes"])
def test_what_is_not_whole_gets_no_copy(tmp_path, name):
    damaged = damaged_files(tmp_path)[name]
    with pytest.raises(MediaError) as caught:
        copies(damaged.path, tmp_path, 23)
    assert caught.value.status == ("unreadable" if damaged.status == "partial" else damaged.status)
