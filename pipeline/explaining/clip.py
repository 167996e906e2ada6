"""The second look at a medium: its frames once more, each with what was scored in it, as a film or one picture."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ffpipe.manifests.durable import write_synced, writing
from ffpipe.pipeline.config import ExplainConfig
from ffpipe.pipeline.contact_sheet import with_provenance
from ffpipe.pipeline.explaining.words import Scored, Words, frame_caption
from ffpipe.pipeline.medium import sampling_from, sandbox_for
from ffpipe.pipeline.output import Advance
from ffpipe.pipeline.plan import MediumItem
from ffpipe.pipeline.provenance_text import as_json
from ffpipe.pipeline.watched import Watch
from ffpipe.stages.annotate import Canvas, Mark
from ffpipe.stages.decode.contract import Frame, Limits
from ffpipe.stages.explain import HeatMap
from ffpipe.stages.film import Film
from ffpipe.stages.placement import Placement
from ffpipe.stages.sampling import Sampling

Pixels = NDArray[np.uint8]

VIDEO, PICTURE = "annotated.mp4", "annotated.png"


class Shown(NamedTuple):
    """What became of the film: its file, frames, what of the medium's time is its zero, and what was left out."""

    file: str | None
    frames: int
    origin_seconds: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clip:
    """Shows one medium's frames with the faces that were scored in them; holds one frame and one map a track."""

    item: MediumItem
    config: ExplainConfig
    words: Words
    faces: Mapping[str, Scored]
    frames: tuple[int, ...]
    seconds: tuple[float, ...]
    provenance: Mapping[str, Any]

    def picture(self, folder: Path) -> Shown:
        """An image with its faces marked, as PNG. Raises MediaError, StorageError."""
        # An image has no part, and is looked at to its end, where it is told whether it changed meanwhile.
        whole = replace(self, config=self.config.model_copy(update={"seconds": None}))
        *_, (frame, drawn) = whole._drawn(None, None)
        content = io.BytesIO()
        Image.fromarray(drawn).save(content, "PNG")
        path = folder / PICTURE
        with writing(path):
            write_synced(path, with_provenance(content.getvalue(), self.provenance))
        return Shown(PICTURE, 1, frame.pts_seconds, ())

    def video(self, folder: Path, duration: float, advance: Advance | None) -> Shown:
        """The frames in their times as a film, without sound. Raises MediaError, StorageError.

        The film's times are the medium's, unless only a part is shown (its beginning is zero then), or the medium's
        own do not begin near zero.
        """
        notes: list[str] = []
        film: Film | None = None
        origin = last = 0.0
        with ExitStack() as stack:
            for frame, drawn in self._drawn(notes, advance):
                last = frame.pts_seconds
                if film is None:
                    origin = self._origin(last, duration)
                    height, width = drawn.shape[:2]
                    film = Film(folder / VIDEO, width, height, as_json(self.provenance))
                    stack.enter_context(film)
                film.add(drawn, last - origin)
            if film is None:
                notes.append("no frame lies in the part that was asked for, so there is no video")
                return Shown(None, 0, 0.0, tuple(notes))
            film.finish(self._latest(last, duration, origin))
            return Shown(VIDEO, film.frames, origin, tuple(notes))

    def _origin(self, first: float, duration: float) -> float:
        begin = self.config.span.begin
        if begin is not None:
            return min(begin, first)
        return 0.0 if 0 <= first <= duration else first

    def _latest(self, last: float, duration: float, origin: float) -> float | None:
        """When the last picture goes at the latest, in the film's time; None where nothing says."""
        ends = [end for end in (self.config.span.end, duration) if end is not None and end > last]
        return min(ends) - origin if ends else None

    def _drawn(self, notes: list[str] | None, advance: Advance | None) -> Iterator[tuple[Frame, Pixels]]:
        """Every frame that is shown, and what it looks like with its marks; `notes` is None for an image."""
        placement = Placement(self.frames, self.seconds, [scored.face for scored in self.faces.values()])
        legend = self.words.legend(None if notes is None else self.config.every_frame)
        canvas: Canvas | None = None
        maps: dict[str, HeatMap | None] = {}
        for number, (frame, total) in enumerate(self._shown([] if notes is None else notes), 1):
            height, width = frame.rgb.shape[:2]
            canvas = canvas or Canvas(width, height, legend, self.words.maps.offered)
            placed = placement.at(frame.index, frame.pts_seconds)
            found = [self.faces[each.face_id] for each in placed]
            # Of the frame before, the maps that are held; the others are not needed again.
            maps = {s.face.face_id: self._map(s, maps) for s in found}
            marks = [
                Mark(
                    self.words.label(scored, each.held),
                    each.box,
                    each.crop_box,
                    maps[each.face_id],
                    each.held,
                )
                for scored, each in zip(found, placed, strict=True)
            ]
            looked_at = placement.looked_at(frame.index)
            caption = frame_caption(frame.index, frame.pts_seconds, looked_at, len(marks))
            yield frame, canvas.draw(frame.rgb, caption, marks)
            if advance:
                advance(number, max(total, number), "")

    def _map(self, scored: Scored, known: Mapping[str, HeatMap | None]) -> HeatMap | None:
        name = scored.face.face_id
        if name in known:
            return known[name]
        return None if self.words.maps.is_empty(scored.face) else self.words.maps.of(scored.face)

    def _shown(self, notes: list[str]) -> Iterator[tuple[Frame, int]]:
        """The frames of the part that is shown, and how many these are likely to be.

        Raises MediaError, also where the file is no longer the one that was scored.
        """
        config, span = self.config, self.config.span
        sampling = Sampling.of_all(Limits().max_frames) if config.every_frame else sampling_from(config, None)
        watch, count = Watch(self.item.opened, self.item.sha256), 0
        with sandbox_for(config) as sandbox, sandbox.open(self.item.opened, sampling) as medium:
            watch.check_opened(medium.file)
            for frame in medium:
                if span.before(frame.pts_seconds):
                    break
                if not span.holds(frame.pts_seconds):
                    continue
                if count == config.max_frames:
                    notes.append(
                        f"the video ends after {count} frames, before {frame.pts_seconds:.3f} s (--max-frames)"
                    )
                    break
                count += 1
                yield frame, min(medium.targets, config.max_frames)
            else:
                if medium.partial_reason:
                    notes.append(f"the video lacks what could not be decoded: {medium.partial_reason}")
        if fault := watch.fault():
            raise fault
