from __future__ import annotations

import resource
import signal

import av
import numpy as np
import pytest

from ffpipe.manifests.errors import StorageError
from ffpipe.stages.film import Film

COLOURS = [(220, 40, 40), (40, 200, 60), (50, 60, 210), (240, 240, 240)]
TIMES = [0.04, 0.1, 2.5, 2.51]


def _write(path, times=TIMES, latest=None):
    with Film(path, 160, 96, "who made it") as film:
        for colour, seconds in zip(COLOURS, times, strict=False):
            film.add(np.full((96, 160, 3), colour, np.uint8), seconds)
        film.finish(latest)
    return path


def test_pictures_come_back_at_their_times_in_their_colours(tmp_path):
    with av.open(str(_write(tmp_path / "a.mp4"))) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert not container.streams.audio
        assert container.metadata["comment"] == "who made it"
        frames = list(container.decode(stream))
    assert [frame.time for frame in frames] == pytest.approx(TIMES, abs=1e-4)
    for frame, colour in zip(frames, COLOURS, strict=True):
        assert np.abs(frame.to_ndarray(format="rgb24").reshape(-1, 3).mean(0) - colour).max() < 6


def test_the_index_is_in_front_and_the_same_pictures_give_the_same_bytes(tmp_path):
    content = _write(tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert _write(tmp_path / "b.mp4").read_bytes() == content


@pytest.mark.parametrize(("latest", "end"), [(None, 2.52), (2.515, 2.515), (9.0, 2.52), (1.0, 2.51)])
def test_the_last_picture_is_shown_as_long_as_the_one_before_at_most_to_the_end(tmp_path, latest, end):
    with av.open(str(_write(tmp_path / "a.mp4", latest=latest))) as container:
        last = max((packet for packet in container.demux(video=0) if packet.size), key=lambda p: p.pts)
        assert float((last.pts + last.duration) * last.time_base) == pytest.approx(end, abs=1e-3)


def test_times_that_do_not_ascend_are_kept_apart(tmp_path):
    with av.open(str(_write(tmp_path / "a.mp4", [0.0, 0.0, -1.0]))) as container:
        times = [frame.pts for frame in container.decode(video=0)]
    assert len(set(times)) == 3 and times == sorted(times)


def test_a_file_that_is_there_stays(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("old")
    with pytest.raises(StorageError, match="a.mp4"):
        _write(path)
    assert path.read_text() == "old"


@pytest.mark.parametrize("room", [0, 3000, 9000])
def test_a_disk_without_room_is_an_error_and_not_a_shorter_film(tmp_path, room):
    """The limit on the size of files refuses as a full disk does, at the first write, in the middle and at the end."""
    noise = np.random.default_rng(0).integers(0, 256, (96, 160, 3)).astype(np.uint8)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with (
            pytest.raises(StorageError, match=r"cannot write .*a\.mp4"),
            Film(tmp_path / "a.mp4", 160, 96) as film,
        ):
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
            for number in range(60):
                film.add(np.roll(noise, number * 7, axis=0), number / 10)
            film.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_nothing_is_no_film(tmp_path):
    with pytest.raises(ValueError, match="at least one"), Film(tmp_path / "a.mp4", 160, 96) as film:
        film.finish()
