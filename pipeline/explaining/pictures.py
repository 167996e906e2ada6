"""The pictures of an explanation: a contact sheet a track, and of chosen faces crop, heat map and both side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ffpipe.manifests.durable import write_synced, writing
from ffpipe.manifests.records import TrackRecord
from ffpipe.pipeline.contact_sheet import Cell, Row, draw_sheet, with_provenance
from ffpipe.pipeline.explaining.maps import HeatMaps
from ffpipe.pipeline.explaining.words import SCORE_MEANS, Scored, Words, time_text
from ffpipe.pipeline.output import score_text
from ffpipe.stages.annotate import NOT_PROOF
from ffpipe.stages.crop import decode_crop
from ffpipe.stages.explain import colour_key, overlay
from ffpipe.stages.lettering import font

Pixels = NDArray[np.uint8]

#: Side of a face on a track's sheet and in a picture of its own, in pixels.
_ON_SHEET, _ALONE = 180, 400
#: Width and height of the colour key, the strip it stands on, and its letters.
_KEY, _STRIP, _LETTER = (200, 16), 32, 12
_INK, _PAPER = (20, 20, 20), (255, 255, 255)


@dataclass(frozen=True, slots=True)
class FaceFiles:
    """Files of one face, relative to the explanation's folder; None where it has none."""

    picture: str | None = None
    crop: str | None = None
    heat_map: str | None = None


@dataclass(frozen=True, slots=True)
class Drawer:
    """Draws faces with their maps into files of a folder, each with its provenance."""

    folder: Path
    words: Words
    maps: HeatMaps
    provenance: Mapping[str, Any]

    def sheets(self, chosen: Sequence[Scored], tracks: Sequence[TrackRecord], rule: str) -> list[str]:
        """A contact sheet of each track's chosen faces, in order of time; `rule` says which these are."""
        by_track: defaultdict[int, list[Scored]] = defaultdict(list)
        for scored in chosen:
            by_track[scored.face.track_id].append(scored)
        return [
            self._sheet(
                f"{folder_of(track.track_id)}.png", by_track[track.track_id], self._title(track, rule)
            )
            for track in tracks
            if by_track[track.track_id]
        ]

    def alone(self, scored: Scored) -> FaceFiles:
        """Crop, heat map, and a picture of both for people, as files of their own."""
        face = scored.face
        stem = f"{folder_of(face.track_id)}/frame-{face.frame_index:06d}"
        (self.folder / stem).parent.mkdir(exist_ok=True)
        title = f"Track {face.track_id}, frame {face.frame_index}, {scored.seconds}."
        rows = [Row(view, [cell]) for view, cell in self._views(scored)]
        picture = self._write(f"{stem}.png", draw_sheet(self._below(title), rows, _ALONE, self._foot()))
        crop = self._write(f"{stem}.crop.png", face.crop)
        stored = self.maps.png(face)
        return FaceFiles(picture, crop, None if stored is None else self._write(f"{stem}.heat.png", stored))

    def _sheet(self, name: str, faces: Sequence[Scored], title: str) -> str:
        rows: defaultdict[str, list[Cell]] = defaultdict(list)
        for scored in faces:
            for view, cell in self._views(scored):
                rows[view].append(cell)
        shown = [Row(view, cells) for view, cells in rows.items()]
        return self._write(name, draw_sheet(self._below(title), shown, _ON_SHEET, self._foot()))

    def _views(self, scored: Scored) -> Iterator[tuple[str, Cell]]:
        """The face as cut, and under its map where it has one."""
        crop, heat = decode_crop(scored.face.crop), self.maps.of(scored.face)
        yield "as cut from the frame", Cell(self._told(scored), crop)
        if heat is not None:
            # Without a word an empty map would pass for a dark one.
            shown = (self._told(scored), overlay(crop, heat)) if heat.any() else (self.words.empty, crop)
            yield f"under the heat map: {NOT_PROOF}", Cell(*shown)

    def _told(self, scored: Scored) -> str:
        return f"{scored.seconds}   score {score_text(scored.record.score)}"

    def _title(self, track: TrackRecord, rule: str) -> str:
        return (
            f"Track {track.track_id}, {time_text(track.first_pts_seconds)} to {time_text(track.last_pts_seconds)}: "
            f"{track.n_faces} face{'s' * (track.n_faces != 1)} scored, mean score {score_text(track.score)}. "
            f"Shown: {rule}."
        )

    def _below(self, title: str) -> str:
        words = self.words
        return "\n".join([title, SCORE_MEANS, words.map_means, words.verdict, words.source])

    def _foot(self) -> Pixels | None:
        return _key_strip() if self.maps.offered else None

    def _write(self, name: str, png: bytes) -> str:
        path = self.folder / name
        with writing(path):
            write_synced(path, with_provenance(png, self.provenance))
        return name


def folder_of(track_id: int) -> str:
    """What the files of a track are called."""
    return f"track-{track_id:03d}"


def _key_strip() -> Pixels:
    """The colour key of the maps with its words."""
    width, height = _KEY
    text = f"low to high: {NOT_PROOF}"
    strip = Image.new("RGB", (width + round(font(_LETTER).getlength(text)) + 30, _STRIP), _PAPER)
    strip.paste(Image.fromarray(colour_key(width, height)), (6, 8))
    pen = ImageDraw.Draw(strip)
    pen.rectangle((5, 7, width + 6, height + 8), outline=_INK)
    pen.text((width + 14, 8), text, _INK, font(_LETTER))
    return np.asarray(strip)
