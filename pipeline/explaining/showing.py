"""Fills the folder of an explanation: which faces get what, and in which order the files are made."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import ReportRow, Status
from ffpipe.pipeline import provenance, tables
from ffpipe.pipeline.config import ExplainConfig
from ffpipe.pipeline.explaining.clip import Clip, Shown
from ffpipe.pipeline.explaining.maps import HeatMaps
from ffpipe.pipeline.explaining.pictures import Drawer
from ffpipe.pipeline.explaining.result import Explanation, faces_table
from ffpipe.pipeline.explaining.words import Scored, Words
from ffpipe.pipeline.output import Advance
from ffpipe.pipeline.plan import MediumItem
from ffpipe.pipeline.scoring import BEST_KEPT, WORST_KEPT, ScoredMedium, kept

#: Gives a context that takes the progress of a part of the work, by the part's name.
Meter = Callable[[str], AbstractContextManager[Advance | None]]

_SHEET_RULE = f"the {WORST_KEPT} highest and {BEST_KEPT} lowest scores, in order of time"


def no_meter(_: str) -> AbstractContextManager[Advance | None]:
    """Takes no progress."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Showing:
    """Shows what was found in one medium; every face of it comes with its crop."""

    config: ExplainConfig
    item: MediumItem
    found: ScoredMedium
    maps: HeatMaps
    origin: dict[str, Any]
    meter: Meter

    def nothing(self, row: ReportRow) -> Explanation:
        """The explanation without a file."""
        told = provenance.finish(self.origin)
        return Explanation(row, faces_table(row, [], {}, self.maps, told), told)

    def fill(self, folder: Path) -> Explanation:
        """Make every file. Raises MediaError where the medium fails at the second look, StorageError."""
        notes: list[str] = []
        part = self._part(notes)
        worst = self._worst(part)
        alone = {"none": [], "worst": worst, "all": part}[self.config.faces]
        film = self.config.video and not self._still
        self._compute(part if film or self._still else _either(part, worst, alone))
        drawer = Drawer(folder, self._words, self.maps, provenance.finish(self.origin))
        sheets = drawer.sheets(worst, self.found.tracks, _SHEET_RULE)
        files = {scored.face.face_id: drawer.alone(scored) for scored in alone}
        shown = self._second_look(folder, part) if film or self._still else Shown(None, 0, 0.0, ())
        told = provenance.finish(self.origin)
        faces = faces_table(self.found.row, part, files, self.maps, told)
        table = folder / f"faces.{self.config.table}"
        tables.write_table(table, faces)
        return Explanation(
            row=self.found.row,
            faces=faces,
            provenance=told,
            out=folder,
            table=table,
            sheets=[folder / name for name in sheets],
            annotated=None if shown.file is None else folder / shown.file,
            frames=shown.frames,
            origin_seconds=shown.origin_seconds,
            notes=(*notes, *shown.notes),
        )

    @property
    def _still(self) -> bool:
        """Whether the medium is an image."""
        return not self.found.media.duration

    @property
    def _words(self) -> Words:
        name = os.path.basename(self.item.entries[0].path)  # noqa: PTH119 - a name of undecodable bytes, as given
        return Words(name, self.found.row, self.maps)

    def _part(self, notes: list[str]) -> list[Scored]:
        """The faces in the part that is shown, and in as many frames as are shown at most."""
        row, span = self.found.row, self.config.span
        looked_at = zip(row.sampled_frames or (), row.sampled_seconds or (), strict=True)
        frames = [index for index, seconds in looked_at if self._still or span.holds(seconds)]
        shown = set(frames[: self.config.max_frames])
        pairs = zip(self.found.kept, self.found.scores, strict=True)
        part = [Scored(face, record) for face, record in pairs if face.frame_index in shown]
        if len(shown) < len(frames):
            notes.append(f"shown are the first {len(shown)} of {len(frames)} scored frames (--max-frames)")
        if not part:
            notes.append("no face was scored in the part that is shown")
        return part

    def _worst(self, part: Sequence[Scored]) -> list[Scored]:
        faces = kept([scored.face for scored in part], [scored.record for scored in part], "worst")
        names = {face.face_id for face in faces}
        return [scored for scored in part if scored.face.face_id in names]

    def _compute(self, faces: Sequence[Scored]) -> None:
        try:
            if faces:
                self.maps.settle(max(faces, key=lambda scored: scored.record.score).face)
            with self.meter("heat maps") as advance:
                self.maps.compute([scored.face for scored in faces], advance)
        except FloatingPointError as error:
            raise MediaError(Status.CRASHED, str(error)) from error

    def _second_look(self, folder: Path, part: Sequence[Scored]) -> Shown:
        row = self.found.row
        clip = Clip(
            self.item,
            self.config,
            self._words,
            {scored.face.face_id: scored for scored in part},
            row.sampled_frames or (),
            row.sampled_seconds or (),
            provenance.finish(self.origin),
        )
        if self._still:
            return clip.picture(folder)
        with self.meter("video") as advance:
            return clip.video(folder, self.found.media.duration or 0.0, advance)


def _either(part: Sequence[Scored], *chosen: Sequence[Scored]) -> list[Scored]:
    names = {scored.face.face_id for faces in chosen for scored in faces}
    return [scored for scored in part if scored.face.face_id in names]
