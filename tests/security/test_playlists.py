"""No file makes a decoder open another one or the network, and no name is more than a name.

Each lure names a local clip, the canary, and the address of a listener. The same files opened by plain PyAV do
return the canary and do call the listener, so that silence means something.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from listener import Listener
from lures import all_lures, picture_with_addresses, session_in_a_header, text_in_a_packet
from media import make_clip, numbered, read_number
from names import NAMES as ANY_BYTES
from PIL import Image
from small_weights import make_tiny_weights

from ffpipe.manifests.errors import MediaError
from ffpipe.pipeline import cli
from ffpipe.stages.decode import DECODERS, Frame, Limits, decode_in_process, opencv
from ffpipe.stages.decode.container import check_unforced, open_container
from ffpipe.stages.decode.gate import Source
from ffpipe.stages.decode.sandbox import DecodeSandbox
from ffpipe.stages.sampling import Sampling

FEW = Sampling.of_count(2)
#: Under these and under its own; None stands for it.
SUFFIXES = (None, ".mp4", ".m3u8", ".bin")
#: The canary's first pictures bear these numbers.
CANARY_NUMBERS = {500, 501, 502}
#: What a hostile file may be called on the command line; PORT is the listener's.
NAMES = (
    "http://127.0.0.1:PORT/canary.mp4", "https://127.0.0.1:PORT/x.mp4", "rtsp://127.0.0.1:PORT/x.mp4",
    "tcp://127.0.0.1:PORT", "udp://127.0.0.1:PORT", "rtp://127.0.0.1:PORT", "file:canary.mp4", "concat:canary.mp4|b",
    "subfile,,start,0,end,0,,:canary.mp4", "crypto:canary.mp4", "data:video/mp4;base64,AAAA", "cache:canary.mp4",
    "pipe:0", "fd:0", "movie=canary.mp4", "async:http://127.0.0.1:PORT/x.mp4", "-x.mp4", "can%03d.mp4", "%d.mp4",
    "~root",
)  # fmt: skip


def canary_pictures(index: int, width: int, height: int) -> np.ndarray:
    return numbered(min(CANARY_NUMBERS) + index, width, height)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the canary and pictures that image patterns would find."""
    folder = tmp_path_factory.mktemp("lures")
    make_clip(folder / "canary.mp4", frames=3, paint=canary_pictures)
    for k in range(3):
        Image.fromarray(canary_pictures(k, 192, 128)).save(folder / f"canary00{k}.png")
    return folder


@pytest.fixture
def listener(folder: Path) -> Iterator[Listener]:
    with Listener(folder / "canary.mp4") as opened:
        yield opened


@pytest.fixture(scope="module")
def matrix(folder: Path) -> Iterator[tuple[Listener, list[Path]]]:
    """Every lure under every suffix, beside the canary, and the listener that all of them name."""
    with Listener(folder / "canary.mp4") as opened:
        lures = all_lures(folder / "canary.mp4", opened.url)
        written = [lure.write(folder, suffix) for lure in lures for suffix in SUFFIXES]
        yield opened, list(dict.fromkeys(written))


def shows_canary(frames: Iterable[Frame]) -> bool:
    return bool({read_number(frame.rgb) for frame in frames} & CANARY_NUMBERS)


def refusals(paths: Iterable[Path], frames_of: Callable[[Path], Iterable[Frame]]) -> dict[str, str]:
    """What each file was refused for; a file that gives pictures fails the test."""
    found = {}
    for path in paths:
        with pytest.raises(MediaError) as caught:
            pytest.fail(f"{path.name} gave {len(list(frames_of(path)))} pictures")
        assert caught.value.status in ("unsupported", "unreadable"), path
        assert "\n" not in str(caught.value)
        assert caught.value.reason, path
        found[path.name] = caught.value.reason
    return found


# ---------------------------------------------------------------- that the harness can fail


def plain_numbers(what: object, **options: str) -> set[int]:
    """The numbers that PyAV shows when it is left alone."""
    with av.open(what, options=options) as container:  # type: ignore[call-overload]
        return {read_number(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.mp4", "ffconcat version 1.0\nfile canary.mp4\n"),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\ncanary.mp4\n#EXT-X-ENDLIST\n"),
    ],
)
def test_plain_pyav_returns_the_canary_of_a_list(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(text)
    assert plain_numbers(str(path)) == CANARY_NUMBERS
    path.unlink()


def test_plain_pyav_returns_the_canary_of_a_data_reference(
    folder: Path, matrix: tuple[Listener, list[Path]]
) -> None:
    alias = next(path for path in matrix[1] if path.name == "data_reference_alias.mov")
    assert plain_numbers(str(alias), enable_drefs="1", use_absolute_path="1") == CANARY_NUMBERS


def test_plain_pyav_calls_the_listener(folder: Path, listener: Listener) -> None:
    assert plain_numbers(listener.url) == CANARY_NUMBERS
    assert [heard[:10] for heard in listener.heard] == ["tcp b'GET "]
    path = folder / "net.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{listener.url}\n#EXT-X-ENDLIST\n")
    listener.heard.clear()
    with path.open("rb") as file:
        assert plain_numbers(file) == CANARY_NUMBERS, "of a file object, what the list names is fetched"
    assert listener.heard
    path.unlink()


def test_the_listener_hears_datagrams(listener: Listener) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"hello", ("127.0.0.1", listener.port))
    deadline = time.monotonic() + 5
    while not listener.heard and time.monotonic() < deadline:
        time.sleep(0.01)
    assert listener.heard == ["udp b'hello'"]


# ---------------------------------------------------------------- the matrix


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_lure_is_refused_in_the_sandbox(matrix: tuple[Listener, list[Path]], decoder: str) -> None:
    listener, paths = matrix
    with DecodeSandbox(decoder, Limits(wall_seconds=20)) as sandbox:
        pid = sandbox.pid
        found = refusals(paths, lambda path: sandbox.open(path, FEW))
        assert sandbox.pid == pid, "no lure costs the child"
    assert len(found) == len(paths)
    assert listener.heard == []


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_allow_lists_hold_without_the_childs_network_protection(
    matrix: tuple[Listener, list[Path]], decoder: str
) -> None:
    listener, paths = matrix
    found = refusals(paths, lambda path: decode_in_process(path, FEW, decoder))
    assert "an HLS playlist: it names other files and holds no picture itself" in found["hls.mp4"]
    assert listener.heard == []


def test_the_demuxers_allow_lists_hold_without_the_gate(matrix: tuple[Listener, list[Path]]) -> None:
    """Every lure is handed on as an mp4: forced to it, left to choose, and by OpenCV, which always chooses itself."""
    listener, paths = matrix
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        with Source(descriptor, path.stat().st_size, "video", "mov") as source:
            for opened in (by_force, by_choice, by_opencv):
                assert not opened(source) & CANARY_NUMBERS, (path.name, opened.__name__)
    assert listener.heard == []


@pytest.mark.parametrize("opened", ["by_force", "by_choice", "by_opencv"])
def test_a_sound_file_of_another_format_than_the_gate_told_is_not_opened(tmp_path: Path, opened: str) -> None:
    path = make_clip(tmp_path / "own.avi", codec="mpeg4", frames=2, size=(192, 128)).path
    for name, numbers in (("avi", {0, 1}), ("mov", set())):
        with Source(os.open(path, os.O_RDONLY), path.stat().st_size, "video", name) as source:
            assert globals()[opened](source) == (numbers if opened != "by_opencv" else numbers - {1})


def by_force(source: Source) -> set[int]:
    try:
        with open_container(source, Limits()) as container:
            return {read_number(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)}
    except (MediaError, av.FFmpegError, IndexError):
        return set()


def by_choice(source: Source) -> set[int]:
    try:
        check_unforced(source, Limits())
        return plain_numbers(source.url)
    except (MediaError, av.FFmpegError, IndexError):
        return set()


def by_opencv(source: Source) -> set[int]:
    stream = SimpleNamespace(codec_context=SimpleNamespace(width=192, height=128))
    try:
        with opencv._capture(SimpleNamespace(source=source, limits=Limits(), stream=stream)) as capture:
            found, picture = capture.read()
            return {read_number(picture[..., ::-1])} if found else set()
    except MediaError:
        return set()


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_header_that_is_read_in_two_ways_is_not_read_in_the_other(
    folder: Path, listener: Listener, decoder: str, tmp_path: Path
) -> None:
    flv = make_clip(tmp_path / "own.flv", codec="flv", frames=5).path.read_bytes()
    path = session_in_a_header(tmp_path / "both.flv", flv, listener.port)
    with path.open("rb") as file, pytest.raises(av.FFmpegError):
        plain_numbers(file, protocol_whitelist="file")  # FFmpeg chooses the session description
    if decoder == "pyav":
        with decode_in_process(path, FEW, decoder) as decoding:
            assert [read_number(frame.rgb) for frame in decoding] == [1, 3]
    else:
        (reason,) = refusals([path], lambda path: decode_in_process(path, FEW, decoder)).values()
        words = {
            "opencv": "OpenCV cannot open it",
            "decord": "left to choose, FFmpeg does not take it for flv",
        }
        assert words[decoder] in reason
    assert listener.heard == []


@pytest.mark.parametrize("decoder", ["pyav", "opencv"])
def test_sound_media_that_carry_addresses_show_their_own_pictures(
    folder: Path, listener: Listener, decoder: str, tmp_path: Path
) -> None:
    own = make_clip(tmp_path / "own.ts", codec="mpeg2video", frames=20).path
    media = [
        text_in_a_packet(own, listener.url),
        picture_with_addresses(tmp_path / "own.png", folder / "canary.mp4", listener.url),
    ]
    for path in media:
        with decode_in_process(path, FEW, decoder) as decoding:
            frames = list(decoding)
        assert frames
        assert not shows_canary(frames)
    assert listener.heard == []


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("decoder", DECODERS)
def test_names_of_protocols_and_patterns_are_local_names(
    folder: Path, listener: Listener, decoder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where there is no such file it is missing; where there is one, it is that one."""
    monkeypatch.chdir(folder)
    names = [name.replace("PORT", str(listener.port)) for name in NAMES]
    own = make_clip(tmp_path / "own.mp4", frames=2).path
    with DecodeSandbox(decoder) as sandbox:
        for name in names:
            for opened in (sandbox.open, lambda name, sampling: decode_in_process(name, sampling, decoder)):
                with pytest.raises(MediaError, match="missing: No such file"):
                    opened(name, FEW)
        monkeypatch.chdir(tmp_path)
        for name in [*names, *map(os.fsdecode, ANY_BYTES)]:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(own, name)
            assert [read_number(frame.rgb) for frame in sandbox.open(name, FEW)] == [0, 1], name
    assert listener.heard == []


# ---------------------------------------------------------------- whole jobs


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_weights(tmp_path_factory.mktemp("weights") / "model")


def test_a_scoring_of_all_lures_and_names_has_a_failed_row_each(
    matrix: tuple[Listener, list[Path]],
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    listener, paths = matrix
    monkeypatch.chdir(tmp_path)
    names = [name.replace("PORT", str(listener.port)) for name in NAMES]
    arguments = [
        "--workspace",
        str(tmp_path / "ws"),
        "--weights",
        str(weights),
        "--engine",
        "local",
        "--workers",
        "0",
    ]
    code = cli.run(["score", *arguments, "--json", "--", *map(str, paths), *names])
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert code == 4, "every input failed"
    assert [row["path"] for row in rows] == [*map(str, paths), *names]
    statuses = {row["path"]: row["status"] for row in rows}
    assert {statuses[name] for name in names} == {"missing"}
    assert {statuses[str(path)] for path in paths} == {"unsupported", "unreadable"}
    assert all(row["verdict"] == "not_assessable" and row["score"] is None for row in rows)
    assert all(row["reason"] and "\n" not in row["reason"] for row in rows)
    assert listener.heard == []


@pytest.mark.slow
def test_an_extraction_of_a_folder_of_lures_stores_no_face_and_calls_nobody(
    matrix: tuple[Listener, list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listener, paths = matrix
    lured = tmp_path / "lured"
    lured.mkdir()
    given = [path for path in paths if path.suffix in (".mp4", ".m3u8", ".bin")]
    for path in given:
        shutil.copy(path, lured)
    code = cli.run(["extract", str(lured), "--workspace", str(tmp_path / "ws"), "--engine", "local", "--workers", "0",
                    "--dataset", "unlabelled", "--json"])  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    assert code == 4
    assert found["faces"] == 0
    assert set(found["statuses"]) == {"unsupported", "unreadable"}
    assert sum(found["statuses"].values()) == len(given)
    assert listener.heard == []
