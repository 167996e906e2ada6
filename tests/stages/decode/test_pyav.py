"""What only the default decoder does: damage, seeking, and files with few facts."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from media import Clip, make_clip, make_cut, read_number

from ffpipe.manifests.errors import MediaError
from ffpipe.stages.decode import decode_in_process, pyav
from ffpipe.stages.sampling import Sampling


def numbers(path: Path, sampling: Sampling) -> list[int]:
    with decode_in_process(path, sampling) as decoding:
        return [read_number(frame.rgb) for frame in decoding]


def test_a_cut_file_is_partial_and_counts_what_the_header_lists(tmp_path: Path) -> None:
    clip = make_cut(tmp_path / "cut.mp4")
    with decode_in_process(clip.path, Sampling.of_all()) as decoding:
        found = [read_number(frame.rgb) for frame in decoding]
    assert found == list(range(len(found)))
    assert 50 <= len(found) <= 60
    assert (decoding.decoded, decoding.targets) == (len(found), 100)
    assert str(decoding.partial_reason).startswith(
        f"decoded {len(found)} of 100 sampled frames: Invalid data"
    )


def test_a_cut_matroska_file_ends_where_its_pictures_end(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "cut.mkv", frames=100, gop=10).path
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with decode_in_process(path, Sampling.of_count(10)) as decoding:
        found = [read_number(frame.rgb) for frame in decoding]
    assert found == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95][: len(found)]
    assert 3 <= len(found) <= 7
    assert decoding.covered == len(found)
    assert decoding.partial_reason


def test_after_garbage_nothing_counts_until_the_next_key_frame(tmp_path: Path) -> None:
    """Pictures built on lost ones are smears, and a smear is not evidence."""
    path = make_clip(tmp_path / "g.mp4", frames=60, gop=20).path
    content = bytearray(path.read_bytes())
    begin, end = _packet_bytes(path, 25)
    content[begin + 4 : end] = bytes(end - begin - 4)
    path.write_bytes(content)
    with decode_in_process(path, Sampling.of_all()) as decoding:
        found = [frame.index for frame in decoding]
    assert found == [*range(25), *range(40, 60)]
    assert decoding.partial_reason
    with decode_in_process(path, Sampling.of_count(6)) as decoding:
        assert [frame.index for frame in decoding] == [5, 15, 45, 55]
    assert (decoding.covered, decoding.targets) == (4, 6)


def _packet_bytes(path: Path, index: int) -> tuple[int, int]:
    import av

    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][index]
        return packet.pos, packet.pos + packet.size


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_seeking_gives_what_decoding_in_order_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, b_frames: int
) -> None:
    clip = make_clip(tmp_path / f"s.{suffix}", frames=160, gop=5, b_frames=b_frames, size=(96, 64))
    sampling = Sampling.of_count(7)
    sought = []
    by_seeking = pyav._by_seeking

    def counted(video: object) -> object:
        for item in by_seeking(video):  # type: ignore[arg-type]
            sought.append(item)
            yield item

    monkeypatch.setattr(pyav, "_by_seeking", counted)
    found = _frames(clip, sampling)
    assert len(sought) == 7, "nothing was left to decoding in order"
    monkeypatch.setattr(pyav, "SEEK_FROM_GOPS", float("inf"))
    expected = _frames(clip, sampling)
    assert [frame[:2] for frame in found] == [frame[:2] for frame in expected]
    for (index, _, ours), (_, _, theirs) in zip(found, expected, strict=True):
        assert read_number(ours) == index
        np.testing.assert_array_equal(ours, theirs)


def _frames(clip: Clip, sampling: Sampling) -> list[tuple[int, float, np.ndarray]]:
    with decode_in_process(clip.path, sampling) as decoding:
        frames = [(frame.index, frame.pts_seconds, frame.rgb.copy()) for frame in decoding]
    assert decoding.partial_reason is None
    return frames


def test_seeking_into_damage_falls_back_to_decoding_in_order(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "d.mp4", frames=160, gop=5, size=(96, 64)).path
    content = bytearray(path.read_bytes())
    begin, end = _packet_bytes(path, 81)
    content[begin + 4 : end] = bytes(end - begin - 4)
    path.write_bytes(content)
    with decode_in_process(path, Sampling.of_count(7)) as decoding:
        found = [read_number(frame.rgb) for frame in decoding]
    whole = [11, 34, 57, 80, 102, 125, 148]
    assert [number for number in found if number != 80] == [number for number in whole if number != 80]


def test_raw_streams_without_any_time_get_the_nominal_rate(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "raw.h264", frames=20, b_frames=2)
    with decode_in_process(clip.path, Sampling.of_all()) as decoding:
        found = [(frame.pts_seconds, read_number(frame.rgb)) for frame in decoding]
    assert [number for _, number in found] == list(range(20))
    assert [pts for pts, _ in found] == pytest.approx([k / 25 for k in range(20)])
    assert decoding.probe.duration == pytest.approx(0.8)


@pytest.mark.parametrize("name", ["p.mpg", "p.ts"])
def test_where_the_header_guesses_the_duration_the_packets_tell_it(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / name, codec="mpeg2video", frames=50, b_frames=2)
    with decode_in_process(clip.path, Sampling.of_count(5)) as decoding:
        found = [read_number(frame.rgb) for frame in decoding]
    assert decoding.probe.duration == pytest.approx(2.0, abs=1e-6)
    assert found == [5, 15, 25, 35, 45]


def test_times_count_from_the_file_s_own_zero(tmp_path: Path) -> None:
    times = [k / 25 for k in range(20)]
    clip = make_clip(tmp_path / "n.mkv", times=[2 + time for time in times])
    with decode_in_process(clip.path, Sampling.of_count(4)) as decoding:
        assert [frame.pts_seconds for frame in decoding] == pytest.approx([2.08, 2.28, 2.48, 2.68])


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix"),
    [
        ("libx264", "yuv444p", "mp4"),
        ("libx264", "yuv422p10le", "mp4"),
        ("prores", "yuv422p10le", "mov"),
        ("qtrle", "argb", "mov"),
        ("ffv1", "bgra", "mkv"),
        ("ffv1", "gray", "mkv"),
        ("libvpx-vp9", "yuv420p", "webm"),
        ("libx265", "yuv420p", "mp4"),
        ("mpeg1video", "yuv420p", "mpg"),
        ("flv", "yuv420p", "flv"),
    ],
)
def test_codecs_and_pixel_formats(tmp_path: Path, codec: str, pixel_format: str, suffix: str) -> None:
    clip = make_clip(tmp_path / f"c.{suffix}", codec=codec, pixel_format=pixel_format, frames=6)
    grey = pixel_format == "gray"
    with decode_in_process(clip.path, Sampling.of_all()) as decoding:
        shapes = [frame.rgb.shape for frame in decoding if grey or read_number(frame.rgb) == frame.index]
    assert shapes == [(128, 192, 3)] * 6


def test_interlaced_and_wide_pixels_keep_the_stored_grid(tmp_path: Path) -> None:
    options = {"flags": "+ilme+ildct", "aspect": "4:3"}
    clip = make_clip(tmp_path / "i.ts", codec="mpeg2video", options=options, frames=6)
    with decode_in_process(clip.path, Sampling.of_all()) as decoding:
        assert [read_number(frame.rgb) for frame in decoding] == list(range(6))
    assert (decoding.probe.width, decoding.probe.height) == (192, 128)


def test_a_video_of_which_nothing_decodes_is_unreadable(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "x.mp4", frames=5).path
    content = bytearray(path.read_bytes())
    for index in range(5):
        begin, end = _packet_bytes(path, index)
        content[begin:end] = b"\xff" * (end - begin)
    path.write_bytes(content)
    with pytest.raises(MediaError, match="unreadable: no picture could be decoded"):
        numbers(path, Sampling.of_count(3))


def test_too_many_pictures_for_all_are_thinned_evenly(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "t.mp4", frames=40)
    assert numbers(clip.path, Sampling.of_all(max_frames=4)) == [5, 15, 25, 35]


@pytest.mark.parametrize(
    ("factor", "expected", "count"), [(0.1, [10, 30, 50, 70, 90], 5), (100, [10, 30, 50, 70, 90], 500)]
)
def test_a_header_that_lies_about_the_duration_hides_nothing(
    tmp_path: Path, factor: float, expected: list[int], count: int
) -> None:
    path = make_clip(tmp_path / "lie.mkv", frames=100, gop=10, size=(96, 64)).path
    content = bytearray(path.read_bytes().replace(b"DURATION", b"DURATIOM"))
    at = content.index(b"\x44\x89\x88") + 3
    (said,) = struct.unpack(">d", content[at : at + 8])
    content[at : at + 8] = struct.pack(">d", said * factor)
    path.write_bytes(content)
    with decode_in_process(path, Sampling.of_count(5)) as decoding:
        assert [read_number(frame.rgb) for frame in decoding] == expected
    assert (decoding.covered, decoding.targets) == (5, count)
    assert (decoding.partial_reason is None) == (count == 5)
