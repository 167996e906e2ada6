"""Clips made once for all decoder tests, and sandboxes kept open over them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from media import Clip, damaged_files, healthy_clips

from ffpipe.stages.decode import Limits
from ffpipe.stages.decode.sandbox import DecodeSandbox


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Clip]:
    """Sound clips by name."""
    return healthy_clips(tmp_path_factory.mktemp("healthy"))


@pytest.fixture(scope="session")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Clip]:
    """Files that are no whole video, by name."""
    return damaged_files(tmp_path_factory.mktemp("damaged"))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[DecodeSandbox]:
    """A default sandbox, shared within a module."""
    with DecodeSandbox(limits=Limits(wall_seconds=20)) as opened:
        yield opened
