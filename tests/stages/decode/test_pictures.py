"""Sequences of pictures: frames in order, sampled as of a video, whatever lies among them."""

from __future__ import annotations

import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from media import make_gif, numbered, read_number
from picture_sets import bomb, member, png, pngs, write_files, write_tar

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.pictures import folder_pictures, hash_of, list_tar
from ffpipe.manifests.records import Pictures
from ffpipe.stages.decode import Limits, decode_in_process
from ffpipe.stages.decode.pictures import NOMINAL_RATE, Archives
from ffpipe.stages.decode.sandbox import DecodeSandbox
from ffpipe.stages.sampling import Sampling

ALL = Sampling.of_all()


def folder_of(root: Path, files: dict[str, bytes]) -> Pictures:
    write_files(root, files)
    return folder_pictures(str(root), [name for name in files])


def packed(path: Path, files: dict[str, bytes], inner: str = "s") -> Pictures:
    return list_tar(str(write_tar(path, files))).sequences[inner]


def numbers(medium, sampling: Sampling | None = ALL, **options) -> list[int]:
    with decode_in_process(medium, sampling, **options) as decoding:
        return [read_number(frame.rgb) for frame in decoding]


def failure(medium, sampling: Sampling | None = ALL, **options) -> MediaError:
    with pytest.raises(MediaError) as caught:
        numbers(medium, sampling, **options)
    return caught.value


@pytest.fixture(params=["folder", "tar", "tar.gz"])
def sequence(request, tmp_path):
    """Ten pictures that lie in no order, as each kind of place holds them."""
    files = pngs("s", [7, 0, 10, 3, 9, 1, 8, 2, 11, 4])
    if request.param == "folder":
        return folder_pictures(str(write_files(tmp_path, files) / "s"), [Path(name).name for name in files])
    return packed(tmp_path / f"x.{request.param}", files)


IN_ORDER = [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]


def test_frames_come_in_order_with_their_position_and_a_nominal_time(sequence):
    with DecodeSandbox() as sandbox:
        medium = sandbox.open(sequence, ALL)
        for position, frame in enumerate(medium):
            assert read_number(frame.rgb) == IN_ORDER[position]
            np.testing.assert_array_equal(frame.rgb, numbered(IN_ORDER[position], 48, 48))
            assert (frame.index, frame.pts_seconds) == (position, position / NOMINAL_RATE)
    assert (medium.decoded, medium.targets, medium.covered, medium.partial_reason) == (10, 10, 10, None)
    probe = medium.probe
    assert (probe.container, probe.codec, probe.width, probe.height) == ("pictures", "png", 48, 48)
    assert (probe.frame_count, probe.fps, probe.duration) == (10, None, None)


def test_some_of_them_are_spread_over_all(sequence):
    assert numbers(sequence, Sampling.of_count(2)) == [2, 9]
    assert numbers(sequence, Sampling.of_count(5)) == [1, 3, 7, 9, 11]
    assert numbers(sequence, Sampling.of_all(max_frames=2)) == [2, 9]
    assert numbers(sequence, Sampling.of_every(5 / NOMINAL_RATE)) == [2, 9]


def test_of_few_pictures_every_one_is_taken_once_however_many_were_asked_for(sequence):
    with decode_in_process(sequence, Sampling.of_count(32)) as decoding:
        assert [read_number(frame.rgb) for frame in decoding] == IN_ORDER
    assert (decoding.targets, decoding.covered) == (32, 32)
    assert numbers(sequence, None) == IN_ORDER


def test_pictures_may_differ_in_size_and_mode(tmp_path):
    files = {
        "0.png": png(0, (64, 48)),
        "1.png": png(1, (47, 33), "L"),
        "2.jpg": png(2, (80, 80), kind="JPEG"),
    }
    with DecodeSandbox() as sandbox:
        shapes = [frame.rgb.shape for frame in sandbox.open(folder_of(tmp_path, files), ALL)]
    assert shapes == [(48, 64, 3), (33, 47, 3), (80, 80, 3)]


def test_what_cannot_be_used_among_them_costs_only_itself(tmp_path):
    files = {
        "0.png": png(0),
        "1.png": png(1),
        "2.png": png(2),
        "3.png": b"",
        "4.png": b"text",
        "5.png": png(5)[:120],
        "7.png": png(7),
    }
    pictures = folder_of(tmp_path / "s", files)
    make_gif(tmp_path / "x.gif").path.rename(tmp_path / "s" / "6.png")
    os.mkfifo(tmp_path / "s" / "8.png")
    names = (*pictures.names[:-1], "6.png", "7.png", "8.png", "gone.png")
    with decode_in_process(replace(pictures, names=names), ALL) as decoding:
        assert [read_number(frame.rgb) for frame in decoding] == [0, 1, 2, 7]
    assert decoding.partial_reason == (
        "decoded 4 of 10 sampled frames: 3.png: the file is empty (and 5 more faults)"
    )


def test_without_one_sound_picture_the_first_one_s_fault_is_the_status(tmp_path):
    assert failure(folder_of(tmp_path / "a", {"0.png": b"text"})).status == "unsupported"
    assert failure(folder_of(tmp_path / "b", {"0.png": b""})).status == "unreadable"
    assert failure(Pictures(str(tmp_path), ("gone.png",))).status == "missing"
    assert failure(packed(tmp_path / "x.tar", {"s/0.png": b"text"})).status == "unsupported"


def test_limits_hold_for_each_picture_and_for_all(tmp_path):
    pictures = packed(tmp_path / "x.tar.gz", {**pngs("s", [0, 1]), "s/2.png": png(2, (96, 96))})
    assert numbers(pictures, limits=Limits(max_pixels=48 * 48)) == [0, 1]
    assert failure(pictures, limits=Limits(max_pixels=48 * 48 - 1)).status == "too_large"
    assert failure(pictures, limits=Limits(max_frames=2)).reason == "more than 2 pictures"
    assert numbers(pictures, limits=Limits(max_frames=3)) == [0, 1, 2]
    assert failure(pictures, limits=Limits(max_bytes=pictures.bytes - 1)).status == "too_large"
    assert numbers(pictures, limits=Limits(max_bytes=pictures.bytes)) == [0, 1, 2]
    held = failure(pictures, limits=Limits(memory_bytes=4 * (pictures.bytes - 1)))
    assert (held.status, "take fewer with --frames" in held.reason) == ("too_large", True)


def test_more_names_than_can_be_sent_are_refused_and_the_child_lives(tmp_path, sandbox):
    many = Pictures(str(tmp_path), tuple(f"{n}{'x' * 200}.png" for n in range(60_000)))
    pid = sandbox.pid
    with pytest.raises(MediaError, match="too_large: 60000 pictures"):
        sandbox.open(many)
    write_files(tmp_path, {"s/0.png": png(0)})
    long = Pictures(str(tmp_path / "s"), (*(f"{n}{'x' * 200}.png" for n in range(10_000)), "0.png"))
    (frame,) = sandbox.open(long, ALL)
    assert (frame.index, read_number(frame.rgb)) == (10_000, 0), (
        "longer than any message of the child's may be"
    )
    assert sandbox.pid == pid


def test_what_changed_since_it_was_listed_is_told_from_the_very_bytes(sequence):
    planned = replace(sequence, sha256=hash_of(sequence))
    assert numbers(planned, Sampling.of_count(2)) == [2, 9]
    wrong = replace(planned, sha256="0" * 64)
    with DecodeSandbox() as sandbox, pytest.raises(MediaError, match="changed"):
        list(sandbox.open(wrong, Sampling.of_count(2)))
    assert failure(wrong).status == "changed"


def test_a_file_that_went_or_came_anew_is_a_change(tmp_path):
    pictures = folder_of(tmp_path, pngs(".", range(6)))
    planned = replace(pictures, sha256=hash_of(pictures))
    (tmp_path / "0.png").unlink()
    assert failure(planned, Sampling.of_count(1)).status == "changed"
    (tmp_path / "0.png").write_bytes(png(9))
    assert failure(planned, Sampling.of_count(1)).status == "changed"
    (tmp_path / "0.png").write_bytes(png(0))
    assert numbers(planned, Sampling.of_count(1)) == [3]


def test_sequences_of_one_archive_are_read_on_without_starting_anew(tmp_path, monkeypatch):
    files = {name: data for s in range(6) for name, data in pngs(f"s{s}", range(3), first=10 * s).items()}
    listed = list_tar(str(write_tar(tmp_path / "x.tar.gz", files))).sequences
    opened: list[str] = []
    from ffpipe.stages.decode import pictures as module

    class Counting(module.TarReader):
        def __init__(self, path):
            opened.append(path)
            super().__init__(path)

    monkeypatch.setattr(module, "TarReader", Counting)
    archives = Archives()
    from ffpipe.stages.decode.decoding import Decoding
    from ffpipe.stages.decode.pyav import PyavBackend

    def first(number: int) -> int:
        with Decoding(
            listed[f"s{number}"], Sampling.of_count(1), PyavBackend(), Limits(), archives
        ) as decoding:
            return [read_number(frame.rgb) for frame in decoding][0]

    assert [first(number) for number in (0, 1, 3, 4, 5)] == [1, 11, 31, 41, 51]
    assert len(opened) == 1
    assert first(2) == 21, "what lies before is read from the start"
    assert len(opened) == 2
    write_tar(tmp_path / "x.tar.gz", {**files, "s9/0.png": png(0)})
    assert first(5) == 51, "another file of that name is opened anew"
    assert len(opened) == 3


def test_an_archive_cut_short_since_keeps_the_child_going(tmp_path, sandbox):
    files = {f"s/{n}.png": png(n) + os.urandom(40_000) for n in range(5)}
    path = write_tar(tmp_path / "x.tar.gz", files)
    pictures = list_tar(str(path)).sequences["s"]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    pid = sandbox.pid
    cut = sandbox.open(replace(pictures, sha256=""), ALL)
    assert [read_number(frame.rgb) for frame in cut] == [0, 1]
    assert "x.tar.gz: the archive is cut short" in str(cut.partial_reason)
    with pytest.raises(MediaError, match="changed"):
        list(sandbox.open(pictures, ALL))
    path.unlink()
    with pytest.raises(MediaError, match="missing"):
        sandbox.open(pictures, ALL)
    assert sandbox.pid == pid


def test_a_bomb_in_an_archive_ends_soon(tmp_path, sandbox):
    path = bomb(tmp_path / "x.tar.gz", 400)
    with pytest.raises(MediaError, match="given up"):
        sandbox.open(Pictures(str(path), ("1/fake/1/0.png",), packed=True))


def test_links_in_an_archive_are_never_followed_even_if_they_are_asked_for(tmp_path, sandbox):
    (tmp_path / "secret.png").write_bytes(png(99))
    members = [
        member("s/0.png", type=tarfile.SYMTYPE, linkname=str(tmp_path / "secret.png")),
        member("s/1.png", png(1)),
    ]
    path = write_tar(tmp_path / "x.tar", members)
    asked = Pictures(str(path), ("s/0.png", "s/1.png"), packed=True)
    medium = sandbox.open(asked, ALL)
    assert [read_number(frame.rgb) for frame in medium] == [1]
    assert "0.png: not in the archive" in str(medium.partial_reason)


def test_odd_names_reach_the_child(tmp_path, sandbox):
    names = [os.fsdecode(b"raw\xff.png"), "new\nline.png", "-x.png", "%03d.png", "http:x.png"]
    pictures = folder_of(tmp_path, {name: png(n) for n, name in enumerate(names)})
    assert len(list(sandbox.open(pictures, ALL))) == len(names)
