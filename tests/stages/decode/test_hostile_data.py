"""Every file of the hostile collection ends in pictures or in one known status, with every decoder, in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import FAILED_STATUSES
from ffpipe.stages.decode import Limits, list_decoders
from ffpipe.stages.decode.sandbox import DecodeSandbox
from ffpipe.stages.sampling import Sampling

pytestmark = pytest.mark.data

#: Statuses with the default decoder that are facts of the files; all others decode whole.
EXPECTED = {
    "decord_corrupted.mp4": "partial",
    "millcool_real_001.mp4": "unreadable",
    "mp4parse_av1-clearkey-cbcs-video.mp4": "unsupported",
    "mp4parse_bipbop_480wp_1001kbps-cenc-video-key1-init.mp4": "unsupported",
    "mp4parse_invalid_userdata.mp4": "unreadable",
    "mp4parse_short-cenc.mp4": "unsupported",
    "mp4parse_sine-3s-xhe-aac-44khz-mono.mp4": "unsupported",
    "mp4parse_test_case_1185230.mp4": "unreadable",
}


def outcome(sandbox: DecodeSandbox, path: Path) -> str:
    try:
        medium = sandbox.open(path, Sampling.of_count(4))
        assert all(frame.rgb.size for frame in medium)
    except MediaError as error:
        assert error.status in FAILED_STATUSES
        assert "\n" not in error.reason
        return error.status
    assert medium.decoded > 0
    return "partial" if medium.partial_reason else "ok"


def test_each_file_has_its_status(clips: Path) -> None:
    with DecodeSandbox(limits=Limits(wall_seconds=20)) as sandbox:
        found = {path.name: outcome(sandbox, path) for path in sorted((clips / "hostile").glob("*.m*"))}
    assert found, "the collection is empty"
    assert {name: status for name, status in found.items() if status != "ok"} == EXPECTED


@pytest.mark.parametrize("decoder", list_decoders()[1:])
def test_the_other_decoders_end_in_time_too(clips: Path, decoder: str) -> None:
    with DecodeSandbox(decoder, Limits(wall_seconds=20)) as sandbox:
        found = {path.name: outcome(sandbox, path) for path in sorted((clips / "hostile").glob("*.m*"))}
    for name, status in EXPECTED.items():
        if status != "partial":
            assert found[name] in FAILED_STATUSES
    assert "timeout" not in found.values()
