"""The header checks behind the gate: FFmpeg's demuxers, forced to the recognised format, up to the video's facts.

A crash of FFmpeg ends the fuzzer, which tells the input; in the product it ends the decoding child.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import av

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import FAILED_STATUSES
from ffpipe.stages.decode import Limits
from ffpipe.stages.decode.gate import open_source
from ffpipe.stages.decode.video import open_video
from ffpipe.stages.sampling import Sampling
from fuzz.seeds import SEEDS, seed

av.logging.set_level(av.logging.PANIC)
_LIMITS = Limits()
_STILLS = {"png", "jpeg", "webp", "tar"}


def seeds() -> Iterable[bytes]:
    """Sound videos of every kind."""
    return [seed(name) for name in SEEDS if name not in _STILLS]


def fuzz_one(data: bytes) -> None:
    """The header is refused, or its facts are within the limits."""
    descriptor = os.memfd_create("fuzz")
    try:
        os.write(descriptor, data)
        with open_source(f"/proc/self/fd/{descriptor}".encode(), _LIMITS) as source:
            if source.kind != "video":
                return
            with open_video(source, Sampling.of_count(4), _LIMITS) as video:
                assert 0 <= video.duration <= _LIMITS.max_seconds
                assert 0 < (video.probe.width or 0) * (video.probe.height or 0) <= _LIMITS.max_pixels
                assert len(video.times) <= 4
    except MediaError as error:
        assert error.status in FAILED_STATUSES
        assert "\n" not in error.reason
    except MemoryError:
        return  # the decoding child answers that the medium is too large
    finally:
        os.close(descriptor)
