"""Every file of the hostile collection ends in pictures or in one known status, with every decoder, in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import FAILED_STATUSES, Entry
from ffpipe.pipeline.config import ExtractConfig
from ffpipe.pipeline.hashing import HashCache, hash_inputs
from ffpipe.pipeline.medium import MediumReader
from ffpipe.pipeline.plan import items_from
from ffpipe.stages.crop import CropSettings
from ffpipe.stages.decode import Limits, list_decoders
from ffpipe.stages.decode.sandbox import DecodeSandbox
from ffpipe.stages.sampling import Sampling

pytestmark = pytest.mark.data


@dataclass(frozen=True)
class Fact:
    """A file's status with every picture decoded by the default decoder, its status in extract's media table, how many
    pictures it has, and the size of the first in pixels, upright: width, height."""

    decoded: str
    read: str
    frames: int = 0
    size: tuple[int, int] | None = None


#: The detector finds a face in most drawn and painted ones, and takes two of the ten animals for one.
EXPECTED = {
    "art/liveportrait_source_s0.jpg": Fact("ok", "ok", 1, (600, 704)),
    "art/liveportrait_source_s10.jpg": Fact("ok", "ok", 1, (1092, 1280)),
    "art/liveportrait_source_s23.jpg": Fact("ok", "no_face", 1, (626, 626)),
    "art/liveportrait_source_s3.jpg": Fact("ok", "ok", 1, (564, 729)),
    "art/liveportrait_source_s4.jpg": Fact("ok", "ok", 1, (720, 720)),
    "art/liveportrait_source_s40.jpg": Fact("ok", "no_face", 1, (1200, 1200)),
    "art/liveportrait_source_s6.jpg": Fact("ok", "ok", 1, (725, 725)),
    "art/liveportrait_source_s7.jpg": Fact("ok", "ok", 1, (852, 852)),
    "art/liveportrait_source_s8.jpg": Fact("ok", "ok", 1, (562, 1000)),
    "art/liveportrait_source_s9.jpg": Fact("ok", "ok", 1, (720, 1280)),
    "decord_corrupted.mp4": Fact("partial", "partial", 30, (1280, 720)),
    "decord_unordered.mov": Fact("ok", "no_face", 4, (50, 50)),
    "decord_video_0.mov": Fact("ok", "no_face", 3, (568, 320)),
    "decord_video_180.mov": Fact("ok", "no_face", 3, (568, 320)),
    "decord_video_90.mov": Fact("ok", "no_face", 3, (320, 568)),
    "millcool_real_001.mp4": Fact("unreadable", "unreadable"),
    "millcool_test_fake.mp4": Fact("ok", "no_face", 50, (320, 320)),
    "millcool_test_real.mp4": Fact("ok", "no_face", 50, (320, 320)),
    "mp4parse_av1-clearkey-cbcs-video.mp4": Fact("unsupported", "unsupported"),
    "mp4parse_bbb_sunflower_QCIF_30fps_mp4v_noaudio_1f.mp4": Fact("ok", "no_face", 1, (176, 144)),
    "mp4parse_bipbop_480wp_1001kbps-cenc-video-key1-init.mp4": Fact("unsupported", "unsupported"),
    "mp4parse_h264_white_frame_sar_16_9.mp4": Fact("ok", "no_face", 1, (640, 480)),
    "mp4parse_hevc_white_frame.mp4": Fact("ok", "no_face", 1, (640, 480)),
    "mp4parse_invalid_userdata.mp4": Fact("unreadable", "unreadable"),
    "mp4parse_metadata.mp4": Fact("ok", "no_face", 1, (320, 240)),
    "mp4parse_minimal.mp4": Fact("ok", "no_face", 1, (320, 240)),
    "mp4parse_short-cenc.mp4": Fact("unsupported", "unsupported"),
    "mp4parse_sine-3s-xhe-aac-44khz-mono.mp4": Fact("unsupported", "unsupported"),
    "mp4parse_test_case_1185230.mp4": Fact("unreadable", "unreadable"),
    "mp4parse_tiny_av1.mp4": Fact("ok", "no_face", 1, (64, 64)),
    "mp4parse_video_colr_nclx_hdr10.mp4": Fact("ok", "no_face", 3, (2, 2)),
    "mp4parse_video_rotation_90.mp4": Fact("ok", "no_face", 1, (60, 100)),
    "mp4parse_white.mp4": Fact("ok", "no_face", 300, (320, 240)),
    "nonhuman/liveportrait_source_s22.jpg": Fact("ok", "ok", 1, (1050, 700)),
    "nonhuman/liveportrait_source_s25.jpg": Fact("ok", "no_face", 1, (512, 512)),
    "nonhuman/liveportrait_source_s30.jpg": Fact("ok", "no_face", 1, (256, 256)),
    "nonhuman/liveportrait_source_s31.jpg": Fact("ok", "no_face", 1, (256, 256)),
    "nonhuman/liveportrait_source_s32.jpg": Fact("ok", "no_face", 1, (256, 256)),
    "nonhuman/liveportrait_source_s33.jpg": Fact("ok", "no_face", 1, (512, 512)),
    "nonhuman/liveportrait_source_s36.jpg": Fact("ok", "no_face", 1, (1030, 438)),
    "nonhuman/liveportrait_source_s38.jpg": Fact("ok", "ok", 1, (975, 1300)),
    "nonhuman/liveportrait_source_s39.jpg": Fact("ok", "no_face", 1, (1080, 1439)),
    "nonhuman/liveportrait_source_s41.jpg": Fact("ok", "no_face", 1, (256, 256)),
    "pyfeat_no_face.mp4": Fact("ok", "no_face", 95, (960, 540)),
    "torchcodec_av1_video.mkv": Fact("ok", "no_face", 125, (640, 360)),
    "torchcodec_bt2020_10bit.mp4": Fact("ok", "no_face", 60, (320, 240)),
    "torchcodec_bt601_full_range.mp4": Fact("ok", "no_face", 60, (320, 240)),
    "torchcodec_discard_first_keyframe.mp4": Fact("ok", "no_face", 25, (64, 64)),
    "torchcodec_h264_10bits.mp4": Fact("ok", "no_face", 30, (200, 200)),
    "torchcodec_h265_10bits.mp4": Fact("ok", "no_face", 30, (200, 200)),
    "torchcodec_h265_video.mp4": Fact("ok", "no_face", 10, (128, 128)),
    "torchcodec_nasa_13013.mp4": Fact("ok", "no_face", 390, (480, 270)),
}


@pytest.fixture(scope="module")
def reader() -> Iterator[MediumReader]:
    """What a worker of extract keeps warm."""
    opened = MediumReader(ExtractConfig(frames=4), CropSettings(), None)
    yield opened
    opened.close()


def outcome(
    sandbox: DecodeSandbox, path: Path, sampling: Sampling
) -> tuple[str, int, tuple[int, int] | None]:
    """Status, number of pictures and size of the first."""
    sizes = []
    try:
        medium = sandbox.open(path, sampling)
        sizes = [frame.rgb.shape[1::-1] for frame in medium]
    except MediaError as error:
        assert error.status in FAILED_STATUSES
        assert "\n" not in error.reason
        return error.status, 0, None
    assert medium.decoded == len(sizes) > 0
    return "partial" if medium.partial_reason else "ok", len(sizes), sizes[0]


def test_the_table_names_every_file(clips: Path) -> None:
    """A file that is added to the collection needs a row."""
    folder = clips / "hostile"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_each_file_has_its_status(
    clips: Path, sandbox: DecodeSandbox, reader: MediumReader, tmp_path: Path, name: str
) -> None:
    path, fact = clips / "hostile" / name, EXPECTED[name]
    assert outcome(sandbox, path, Sampling.of_all()) == (fact.decoded, fact.frames, fact.size)
    (item,) = items_from([Entry(str(path))], hash_inputs([str(path)], HashCache(tmp_path / "hashes")))
    stored = reader.read(item).media
    assert (stored.status, stored.reason) == (fact.read, stored.reason)
    assert (stored.reason is None) == (fact.read == "ok")
    assert "\n" not in (stored.reason or "")


@pytest.mark.parametrize("decoder", list_decoders()[1:])
def test_the_other_decoders_end_in_time_too(clips: Path, decoder: str) -> None:
    videos = sorted((clips / "hostile").glob("*.m*"))
    with DecodeSandbox(decoder, Limits(wall_seconds=60)) as sandbox:
        found = {path.name: outcome(sandbox, path, Sampling.of_count(4))[0] for path in videos}
    for name, status in found.items():
        if EXPECTED[name].frames == 0:
            assert status in FAILED_STATUSES
    assert "timeout" not in found.values()
