"""Which stored media an evaluation is of: a split at one quality; and whether they are cut as the weights ask.

Media without a picture to score are counted by status, never dropped without a word.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import MediaRecord, Split
from ffpipe.manifests.shards import ShardGroup
from ffpipe.manifests.split_files import SplitFile, read_split_file
from ffpipe.manifests.splits import components, group_key
from ffpipe.pipeline.config import EvaluateConfig
from ffpipe.pipeline.loader import Labelled
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.overlap import check_overlap, shared_people
from ffpipe.pipeline.stored_media import (
    crop_settings,
    media_of,
    media_words,
    of_methods,
    of_quality,
    parts_of,
    stored_job,
    without_conflicts,
)
from ffpipe.pipeline.weights import Weights
from ffpipe.pipeline.workspace import Workspace

#: Takes every split, or every quality.
EVERY = "all"


@dataclass(frozen=True, slots=True)
class ChosenMedia:
    """The media of a split, as rows of the media table: those with pictures, and those `without` one to score.

    known: all rows of the dataset, of any split. tested: ids of the stored test split. given: the split file that says
    which is which, in place of the stored split.
    """

    name: str
    group: ShardGroup
    media: list[MediaRecord]
    without: list[MediaRecord]
    known: list[MediaRecord]
    tested: frozenset[str]
    given: SplitFile | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def everything(self) -> list[MediaRecord]:
        """Every medium of the split, whatever became of it."""
        return [*self.media, *self.without]

    @property
    def unscored(self) -> Counter[str]:
        """How many media have no picture to score, by status."""
        return Counter(m.status.value for m in self.without)

    @property
    def split_source(self) -> str:
        """Where the split comes from."""
        return str(self.given or stored_job(self.group).get("split_source", "none"))

    def opens_test(self, split: str) -> bool:
        """Whether media of the test split are among them: the stored one's, too, whatever a split file calls them."""
        if split in (Split.TEST, EVERY):
            return True
        return self.given is not None and any(m.media_id in self.tested for m in self.media)

    def labelled(self) -> dict[str, Labelled]:
        """What scoring needs of each medium, with groups joined by content."""
        joined = components([group_key(m), m.media_id] for m in self.media)
        return {
            m.media_id: Labelled(int(m.label or 0), joined[m.media_id], m.frames_decoded) for m in self.media
        }

    def line(self, split: str) -> str:
        """What was chosen, in words."""
        fake = len({m.media_id for m in self.media if m.label})
        real = len({m.media_id for m in self.media}) - fake
        line = f"{self.name}, split {split}: {real} real and {fake} fake media"
        if self.unscored:
            listed = ", ".join(f"{count} {status}" for status, count in sorted(self.unscored.items()))
            line += f"; without a picture to score: {listed}"
        return line


def choose_split(workspace: Workspace, config: EvaluateConfig, split: str) -> ChosenMedia:
    """The labelled media of a dataset's split, of the settings' quality and methods.

    `all` takes every split, or every quality. A split file replaces the stored split.

    Raises UsageError (no such dataset, several qualities and none chosen, nothing with a picture), StorageError and
    IntegrityError.
    """
    data, there = config.data, workspace.datasets()
    if data not in there:
        raise UsageError(
            f"--data {data}: no such dataset in {workspace.root}; there are {', '.join(there) or 'none'}"
        )
    group = workspace.dataset(data)
    notes: list[str] = []
    given = read_split_file(config.splits) if config.splits else None
    stored = media_of([group], None, notes)
    listed = media_of([group], given, notes) if given else stored
    # What a split file does not list may have been trained on by another.
    known = {m.path_bytes: m for rows in (stored, listed) for m in rows}
    tested = frozenset(m.media_id for m in stored if m.split is Split.TEST)
    unlabelled = {m.media_id for m in listed if m.label is None and split in (EVERY, m.split)}
    if unlabelled:
        notes.append(f"{media_words(len(unlabelled))} without a label cannot be measured")
    media = of_methods([m for m in listed if m.label is not None], config.methods)
    media = media if config.quality == EVERY else of_quality(media, config.quality, notes)
    media = without_conflicts(media, notes)
    if split != EVERY:
        # A copy in several splits counts for the one that learns least from it.
        parts = parts_of(media)
        media = [m for m in media if parts[m.media_id] == (m.split or Split.TRAIN) == split]
    scored = [m for m in media if m.faces]
    if not scored:
        raise UsageError(f"--split {split}: {data} has no labelled media with pictures in it")
    without = [m for m in media if not m.faces]
    return ChosenMedia(data, group, scored, without, [*known.values()], tested, given, notes)


def check_media(chosen: ChosenMedia, weights: Weights, config: EvaluateConfig, say: Say) -> bool:
    """Tell what was chosen and what of it the run knows; whether the pictures were cut otherwise than in training.

    Raises UsageError where that was not accepted, or the run was trained on some of the media.
    """
    accepted = check_crop(chosen, weights, config.accept_crops)
    told = weights.loaded.config
    chosen.notes.extend(check_overlap(chosen.media, told, chosen.name, config.split))
    chosen.notes.extend(shared_people(chosen.media, chosen.known, told))
    say(chosen.line(config.split))
    for note in chosen.notes:
        say(note)
    return accepted


def check_crop(chosen: ChosenMedia, weights: Weights, accept_crops: bool) -> bool:
    """Whether the pictures were cut otherwise than in training. Raises UsageError where that was not accepted."""
    cut = crop_settings([chosen.name], [stored_job(chosen.group)])
    if cut.fingerprint() == weights.crop.fingerprint() and weights.crops_known:
        return False
    if not accept_crops:
        weights.require_known()
        raise UsageError(
            f"{chosen.name} was stored with other crop settings ({cut.kind}, {cut.fingerprint()}) than the weights "
            f"were trained with ({weights.crop.kind}, {weights.crop.fingerprint()}); --accept-crops scores it all"
            " the same"
        )
    return True
