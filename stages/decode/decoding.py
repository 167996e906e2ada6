"""Decodes one medium in this process: what is kept of it, how much of what was asked for, and why not all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from ffpipe.manifests.content import file_facts
from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Pictures, Probe, Status
from ffpipe.stages.decode.contract import Backend, Frame, Limits, Picture
from ffpipe.stages.decode.gate import open_source
from ffpipe.stages.decode.pictures import NOMINAL_RATE, Archives, open_pictures
from ffpipe.stages.sampling import Sampling

if TYPE_CHECKING:
    from ffpipe.stages.decode.video import Video

#: What is decoded: a file, or a sequence of pictures.
Medium = str | bytes | os.PathLike[str] | Pictures


class Decoding:
    """An opened medium: iterate it once for its frames, upright RGB; close it, or use it as a context.

    probe holds the header's facts, targets how many looks were asked for (for every frame: the frames that
    the file lists), decoded the distinct frames given so far, and covered the targets that they answer.
    duration is in seconds, 0 for an image, nominal for a sequence of pictures. file holds the facts of the file that
    was opened (`content.file_facts`), None for a sequence.
    partial_reason says after the last frame why some targets have none; None where all have one.
    """

    def __init__(
        self,
        medium: Medium,
        sampling: Sampling | None,
        backend: Backend,
        limits: Limits,
        archives: Archives | None = None,
    ) -> None:
        """Open and check a medium; of a video no frame is decoded yet.

        Raises:
            MediaError: as `gate.open_source`, `video.open_video` and `pictures.open_pictures`.
        """
        self.probe: Probe
        self.decoded = 0
        self.covered = 0
        self.partial_reason: str | None = None
        self.file: tuple[int, ...] | None = None
        self._faults: list[str]
        self._pictures: Iterator[tuple[Picture, int]]
        self._video: Video | None = None
        self._stack = ExitStack()
        if isinstance(medium, Pictures):
            opened = open_pictures(medium, sampling, limits, archives)
            self.duration = (opened.probe.frame_count or 0) / NOMINAL_RATE
            self.probe, self.targets, self._faults = opened.probe, opened.targets, opened.faults
            self._pictures = opened.pictures
            return
        with ExitStack() as opening:
            source = opening.enter_context(open_source(os.path.abspath(os.fsencode(medium)), limits))  # noqa: PTH100
            self.file = file_facts(os.fstat(source.descriptor))
            if source.kind == "image":
                from ffpipe.stages.decode.image import read_image

                self.probe, still = read_image(source, limits)
                self.targets = 1
                self._faults = []
                self._pictures = iter([(still, 1)])
            else:
                from ffpipe.stages.decode.video import open_video

                self._video = video = opening.enter_context(open_video(source, sampling, limits))
                self.probe, self.targets, self._faults = video.probe, video.expected, video.faults
                self._pictures = backend.pictures(video)
            self.duration = self.probe.duration or 0.0
            self._stack = opening.pop_all()

    def cut_short(self) -> str | None:
        """That the file ends before the pictures which its header lists, told without decoding; None if not known."""
        return self._video.cut_short() if self._video else None

    def pictures(self) -> Iterator[Picture]:
        """The pictures that are kept, not RGB yet.

        Raises:
            MediaError: unreadable where not one picture can be decoded; too_large past a limit.
            MemoryError: there is not enough.
        """
        for picture, hits in self._pictures:
            self._note(picture)
            self.decoded += 1
            self.covered += hits
            yield picture
        if not self.decoded:
            raise MediaError(Status.UNREADABLE, f"no picture could be decoded: {self._cause()}")
        if self.covered < self.targets:
            self.partial_reason = f"decoded {self.covered} of {self.targets} sampled frames: {self._cause()}"

    def _note(self, picture: Picture) -> None:
        """What only a decoded picture tells: the size upright and the rotation."""
        if self.decoded == 0:
            rotation = getattr(picture, "rotation", self.probe.rotation)
            self.probe = replace(self.probe, width=picture.width, height=picture.height, rotation=rotation)

    def _cause(self) -> str:
        if not self._faults:
            return f"the pictures end before the {self.duration:.2f} s that the header promises"
        more = f" (and {len(self._faults) - 1} more faults)" if len(self._faults) > 1 else ""
        return f"{self._faults[0]}{more}"

    def __iter__(self) -> Iterator[Frame]:
        buffer = np.empty(0, np.uint8)
        for picture in self.pictures():
            size = picture.width * picture.height * 3
            buffer = buffer if buffer.size >= size else np.empty(size, np.uint8)
            rgb = buffer[:size].reshape(picture.height, picture.width, 3)
            picture.render(rgb)
            yield Frame(picture.index, picture.pts_seconds, rgb)

    def close(self) -> None:
        """Let go of the file."""
        self._stack.close()

    def __enter__(self) -> Decoding:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
