"""Whose boxes each medium is cut with: of the copies of a clip, the best quality that could be read whole guides.

What is decided rests on the clip's copies alone, never on the order of runs: where a better copy turns up later,
what was cut without it is taken back and done again.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import pyarrow.compute as pc

from ffpipe.manifests.commits import Commit
from ffpipe.manifests.qualities import MAX_RATE_FACTOR, quality_named, rate_factor
from ffpipe.manifests.records import FaceRecord, MediaRecord, Probe, Status
from ffpipe.manifests.schemas import from_table
from ffpipe.manifests.shards import ShardGroup
from ffpipe.manifests.splits import components
from ffpipe.pipeline.plan import Better, MediumItem, is_own
from ffpipe.stages.faces import GivenFaces, KnownFace, faces_to_give

#: Statuses of media that were read whole.
WHOLE = frozenset({Status.OK, Status.NO_FACE})
#: Seconds by which the times of one frame may differ in two copies: containers round to a millisecond.
_TIME_TOLERANCE = 0.002


class OtherFrames(Exception):
    """Why the boxes of one copy of a clip do not belong on the frames of another."""


class Done(NamedTuple):
    """A stored medium: its status, the chunk that holds its faces, and the medium that it was compared with."""

    status: Status
    chunk: str
    guide: str | None


def quality_rank(quality: str | None) -> tuple[int, str]:
    """Sorts qualities, the best first: by rate factor, then others by name, and media of no named quality last."""
    if quality is None:
        return MAX_RATE_FACTOR + 2, ""
    known = quality_named(quality)
    rate = None if known is None else rate_factor(known)
    return (MAX_RATE_FACTOR + 1, quality) if rate is None else (rate, quality)


def stored_media(commits: Iterable[Commit]) -> dict[str, Done]:
    """What commits say of each medium; commits of older versions name no guide."""
    return {
        told["media_id"]: Done(Status(told["status"]), commit.chunk, told.get("guide"))
        for commit in commits
        for told in commit.inputs
        if is_own(told)
    }


@dataclass(frozen=True, slots=True)
class Clips:
    """The clips that are present in several copies: of each, media ids and qualities, the best first."""

    copies: Mapping[str, Sequence[tuple[str, str | None]]]

    @classmethod
    def of(cls, items: Sequence[MediumItem], stored: Sequence[MediaRecord]) -> Clips:
        """Gathered from what is planned and what is stored; a content under two clips' names joins the two."""
        rows = [
            (item.media_id, entry.pair_id, entry.quality, os.fsencode(entry.path))
            for item in items
            if item.status is None
            for entry in item.entries
        ]
        rows += [(m.media_id, m.pair_id, m.quality, m.path_bytes) for m in stored if m.sha256]
        named = [row for row in rows if row[1] is not None]
        clip_of = components((f"medium {media_id}", f"clip {pair}") for media_id, pair, _, _ in named)
        best: dict[str, dict[str, tuple[tuple[int, str], bytes, str | None]]] = {}
        for media_id, _, quality, path in named:
            ranks = best.setdefault(clip_of[f"medium {media_id}"], {})
            rank = quality_rank(quality), path, quality
            ranks[media_id] = min(ranks.get(media_id, rank), rank, key=lambda r: r[:2])
        return cls(
            {
                clip: [(name, ranks[name][2]) for name in sorted(ranks, key=lambda n: ranks[n][:2])]
                for clip, ranks in best.items()
                if len(ranks) > 1
            }
        )

    def betters(self, done: Mapping[str, Done], todo: Collection[str]) -> dict[str, tuple[Better, ...]]:
        """For each medium those that may guide it: what is still to be read, down to the first that is whole."""
        found = {}
        for copies in self.copies.values():
            so_far: list[Better] = []
            for media_id, quality in copies:
                found[media_id] = tuple(so_far)
                state = done.get(media_id)
                if so_far and so_far[-1].chunk is not None:
                    continue
                if state is None and media_id in todo:
                    so_far.append(Better(media_id, quality))
                elif state is not None and state.status in WHOLE:
                    so_far.append(Better(media_id, quality, state.chunk))
        return found


def stale_chunks(items: Sequence[MediumItem], clips: Clips, commits: Sequence[Commit]) -> set[str]:
    """Chunks that hold media cut without the best quality that is there by now, and so have to be done again.

    A chunk stays where one of its inputs is not among the items any more: it could not be done again.
    """
    present = {(item.media_id, entry.path) for item in items for entry in item.entries}
    fixed = {c.chunk for c in commits if any((i["media_id"], i["path"]) not in present for i in c.inputs)}
    planned = {item.media_id for item in items if item.status is None}
    stale: set[str] = set()
    while True:
        done = stored_media(c for c in commits if c.chunk not in stale)
        betters = clips.betters(done, planned - done.keys())
        found = {
            state.chunk
            for media_id, state in done.items()
            if not state.status.failed and state.guide != _expected(betters.get(media_id, ()))
        }
        # What later paths took over of a content goes with it.
        found |= {c.chunk for c in commits if any(i["media_id"] not in done for i in c.inputs)}
        if not found - stale - fixed:
            return stale
        stale |= found - fixed


def _expected(betters: Sequence[Better]) -> str | None:
    """The medium whose boxes are to be taken; one that is still to be read may be it, which nothing stored equals."""
    if any(better.chunk is None for better in betters):
        return "to be read"
    return betters[0].media_id if betters else None


def with_clips(items: Sequence[MediumItem], clips: Clips, done: Mapping[str, Done]) -> list[MediumItem]:
    """The items with clip and betters; those of a clip follow its first one, the best first."""
    todo = {item.media_id for item in items if item.status is None} - done.keys()
    betters = clips.betters(done, todo)
    names = {media_id: clip for clip, copies in clips.copies.items() for media_id, _ in copies}
    by_id = {item.media_id: item for item in items}
    ordered: dict[str, MediumItem] = {}
    for item in items:
        clip = names.get(item.media_id) if item.status is None else None
        copies = [item.media_id] if clip is None else [name for name, _ in clips.copies[clip]]
        for name in copies:
            if name in by_id and name not in ordered:
                ordered[name] = replace(by_id[name], clip=clip, betters=betters.get(name, ()))
    return list(ordered.values())


def guides_lines(items: Sequence[MediumItem], commits: Sequence[Commit]) -> list[str]:
    """How many of the items' media took the boxes of a better quality, and how many could not, for people."""
    ids = {item.media_id for item in items}
    inputs = [i for c in commits for i in c.inputs if i["media_id"] in ids and i.get("guide") and is_own(i)]
    taken = {i["media_id"] for i in inputs if i["guided"]}
    alone = {i["media_id"] for i in inputs if not i["guided"] and not Status(i["status"]).failed}
    lines = []
    if taken:
        lines.append(f"{len(taken)} media were cut with the boxes of a better quality of the same clip")
    if alone:
        lines.append(
            f"{len(alone)} media have other frames than the better quality of their clip and were searched themselves; "
            "the media table says why"
        )
    return lines


@dataclass(frozen=True, slots=True)
class Guide:
    """A medium whose boxes others of the same clip are cut with; times holds seconds by frame index."""

    media: MediaRecord
    quality: str | None
    faces: GivenFaces
    times: Mapping[int, float]

    @property
    def name(self) -> str:
        """For people."""
        return f"the {self.quality} copy" if self.quality else "the better copy"

    def check_header(self, probe: Probe) -> None:
        """Raises OtherFrames where a copy with this header cannot have the same frames and boxes."""
        sizes = [f"{m.width}x{m.height}" for m in (probe, self.media)]
        if sizes[0] != sizes[1]:
            raise OtherFrames(f"{sizes[0]} pixels, {self.name} {sizes[1]}")
        counts = probe.frame_count, self.media.frame_count
        if all(counts) and counts[0] != counts[1]:
            raise OtherFrames(f"{counts[0]} frames, {self.name} {counts[1]}")

    def check_frames(self, times: Mapping[int, float], whole: bool) -> None:
        """Raises OtherFrames where the frames that were taken of a copy (times by index) are not the guide's.

        A copy that is not whole may lack some. The clock of a copy may start elsewhere.
        """
        if whole and len(times) != self.media.frames_decoded:
            raise OtherFrames(f"{len(times)} frames taken, of {self.name} {self.media.frames_decoded}")
        common = self.times.keys() & times.keys()
        if whole and len(common) < len(self.times):
            raise OtherFrames(f"other frames taken than of {self.name}")
        offsets = [times[index] - self.times[index] for index in common]
        if offsets and max(offsets) - min(offsets) > _TIME_TOLERANCE:
            raise OtherFrames(f"frames shown at other times than those of {self.name}")


class Guides:
    """The guides that the items of one chunk need: made in it, or read from what is stored, without pixels."""

    def __init__(self, shards: ShardGroup) -> None:
        self._shards = shards
        self._found: dict[str, Guide | None] = {}
        self._rows: dict[tuple[str, str], Any] = {}

    def of(self, item: MediumItem) -> Guide | None:
        """The best copy of the item's clip that was read whole, among those better than the item itself.

        Raises IntegrityError where what is stored of it is damaged.
        """
        for better in item.betters:
            if better.media_id not in self._found:
                self._found[better.media_id] = self._stored(better)
            guide = self._found[better.media_id]
            if guide is not None:
                return guide
        return None

    def add(self, item: MediumItem, media: MediaRecord, faces: Sequence[FaceRecord]) -> None:
        """What was made of an item, for those that follow it."""
        quality = min((entry.quality for entry in item.entries), key=quality_rank)
        self._found[item.media_id] = _guide(media, quality, faces)

    def _stored(self, better: Better) -> Guide | None:
        chunk = better.chunk or self._chunk_of(better.media_id)
        if chunk is None:
            return None
        rows = self._read(chunk, "media").filter(pc.field("media_id") == better.media_id)
        media = from_table(rows.slice(0, 1), MediaRecord)[0]
        found = self._read(chunk, "faces").filter(pc.field("media_id") == better.media_id)
        return _guide(media, better.quality, from_table(found, KnownFace))

    def _chunk_of(self, media_id: str) -> str | None:
        """Where a medium was committed since the plan was made: alone, after its chunk had killed a worker."""
        done = stored_media(self._shards.commits()).get(media_id)
        return None if done is None else done.chunk

    def _read(self, chunk: str, table: str) -> Any:
        if (chunk, table) not in self._rows:
            columns = [column.name for column in fields(KnownFace)] if table == "faces" else None
            self._rows[chunk, table] = self._shards.read_chunk(chunk, table, columns)
        return self._rows[chunk, table]


def _guide(
    media: MediaRecord, quality: str | None, faces: Sequence[FaceRecord] | Sequence[KnownFace]
) -> Guide | None:
    """None where the medium was not read whole."""
    if media.status not in WHOLE:
        return None
    times = {face.frame_index: face.pts_seconds for face in faces}
    return Guide(media, quality, faces_to_give(faces), times)
