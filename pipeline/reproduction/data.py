"""What the workspace holds of a protocol's datasets, what it lacks of them, and the commands that would provide it."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, MediaRecord, Split
from ffpipe.manifests.schemas import from_table
from ffpipe.manifests.split_files import SplitFile, read_split_file
from ffpipe.pipeline.config import ReproduceConfig, SplitsConfig
from ffpipe.pipeline.reproduction.protocols.protocol import Protocol
from ffpipe.pipeline.reproduction.protocols.sources import CELEB_DF_V1, CELEB_DF_V2, RAW, Expected, Source
from ffpipe.pipeline.splits import make_splits
from ffpipe.pipeline.stored_media import crop_settings, is_labelled, media_of, parts_of, stored_job
from ffpipe.pipeline.training_data import extract_command
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.crop import Kind

#: The qualities that `ffpipe degrade` makes, by their rate factor.
_RATE_FACTORS = {"c23": 23, "c40": 40}
_VERSION_NAME = re.compile(r"v([12])(?!\d)", re.IGNORECASE)

Key = tuple[Split, str | None, Label, str | None]
"""Split, quality, label and method."""


@dataclass(frozen=True, slots=True)
class Lack:
    """Why something cannot be run, and the commands that would help."""

    reason: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """A dataset of the workspace as far as protocols ask.

    version: of layouts that have several, where it can be told. frames: the most that any medium was looked at.
    detector: of faces. counts: contents with pictures. folders: lower-case names of folders that training media lie in.
    splits: the file that divides it, where that is not the stored split.
    """

    name: str
    layout: str | None
    version: str | None
    kind: Kind
    frames: int
    detector: str | None
    split_source: str
    source: str | None
    counts: Mapping[Key, int]
    folders: frozenset[str]
    splits: Path | None = None

    @property
    def qualities(self) -> list[str]:
        """Those on record, sorted."""
        return sorted({quality for _, quality, _, _ in self.counts if quality})

    def count(
        self,
        label: Label,
        part: Split | None = None,
        quality: str | None = None,
        methods: Sequence[str] = (),
    ) -> int:
        """Media of a label; where given of a part, of a quality or none on record, and of fakes by some methods."""
        return sum(
            number
            for (split, held, found, method), number in self.counts.items()
            if found is label
            and part in (split, None)
            and (quality is None or held in (quality, None))
            and (label is Label.REAL or not methods or method in methods)
        )


@dataclass(frozen=True, slots=True)
class Need:
    """What an experiment takes of a dataset: a part at a quality, with the fakes of some methods."""

    source: Source
    part: Split
    frames: int | None
    quality: str | None = None
    methods: tuple[str, ...] = ()


class Holdings:
    """The datasets of a workspace, with the user's word on which of them is which and how it is divided."""

    def __init__(
        self,
        workspace: Workspace,
        protocol: Protocol,
        config: ReproduceConfig,
        folder: Path,
    ) -> None:
        """`folder` takes the split files of papers that divide a dataset in a way of their own.

        Raises UsageError for a key that the protocol has not, or a dataset or file that is not there; StorageError
        and IntegrityError for a damaged one.
        """
        self._workspace, self._folder, self._seed = workspace, folder, config.seed
        self._detector = protocol.face_detector
        self._held = {name: held for name in workspace.datasets() if (held := _holding(workspace, name))}
        self._chosen = _keyed("--use", config.use, protocol.sources)
        for key, name in self._chosen.items():
            if name not in self._held:
                raise UsageError(
                    f"--use {key}={name}: no labelled dataset {name!r} in {workspace.root}; there are "
                    f"{', '.join(sorted(self._held)) or 'none'}"
                )
        given = _keyed("--splits", config.splits, protocol.sources)
        self._splits = {key: read_split_file(Path(file)) for key, file in given.items()}
        self._divided: dict[tuple[str, str], Holding | Lack] = {}

    def find(self, need: Need) -> Holding | Lack:
        """The dataset that has what is needed, or what is missing."""
        source = need.source
        fitting = [self._as_divided(held, source) for held in self._held.values() if self._fits(held, source)]
        if not fitting:
            return self._absent(need)
        found = [held if isinstance(held, Lack) else self._missing(held, need) or held for held in fitting]
        whole = [held for held in found if isinstance(held, Holding)]
        if len(whole) > 1:
            names = ", ".join(held.name for held in whole)
            return Lack(
                f"several datasets could be {source.title}: {names}; say which with --use {source.key}={whole[0].name}"
            )
        return whole[0] if whole else found[0]

    def _fits(self, held: Holding, source: Source) -> bool:
        if source.key in self._chosen:
            return held.name == self._chosen[source.key]
        return held.layout == source.layout and held.version in (source.version, None)

    def _as_divided(self, held: Holding, source: Source) -> Holding | Lack:
        """The dataset with the split that the user gave, or the paper's own; else as it is stored."""
        if source.key not in self._splits and source.protocol is None:
            return held
        place = (held.name, source.key)
        if place not in self._divided:
            try:
                self._divided[place] = self._divide(held, source)
            except UsageError as error:
                self._divided[place] = Lack(f"{held.name} cannot be divided: {error.message}")
        return self._divided[place]

    def _divide(self, held: Holding, source: Source) -> Holding:
        given = self._splits.get(source.key) or self._own_split(held, str(source.protocol))
        media = media_of([self._workspace.dataset(held.name)], given, [])
        return replace(
            held,
            counts=_counts([m for m in media if is_labelled(m)]),
            split_source=str(given) if source.key in self._splits else str(source.protocol),
            splits=given.path,
        )

    def _own_split(self, held: Holding, protocol: str) -> SplitFile:
        """The paper's way of dividing, drawn by our seed; who is shown does not matter to it."""
        path = self._folder / f"{held.name}-{protocol}-{self._seed}.csv"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            config = SplitsConfig(protocol=protocol, seed=self._seed, links="ignore")
            make_splits(
                str(self._workspace.dataset(held.name).root), path, config, self._workspace, lambda _: None
            )
        return read_split_file(path)

    def _absent(self, need: Need) -> Lack:
        return Lack(f"no {need.source.title} in the workspace", (self._extract(need),))

    def _extract(self, need: Need) -> str:
        return need.source.extract_command(need.frames, self._detector, self._workspace.words())

    def _missing(self, held: Holding, need: Need) -> Lack | None:
        """What a dataset lacks, said for the first thing that is wrong with it."""
        if need.source.version and held.version is None and need.source.key not in self._chosen:
            return Lack(
                f"{held.name}: its counts do not tell which version of Celeb-DF it is; say so with "
                f"--use {need.source.key}={held.name}"
            )
        if need.quality and need.quality not in held.qualities:
            return self._other_quality(held, need)
        real = held.count(Label.REAL, need.part, need.quality)
        if not real:
            return self._again(held, need, f"no real media in {_place(need)}")
        for method in need.methods or (None,):
            if not held.count(Label.FAKE, need.part, need.quality, (method,) if method else ()):
                return self._again(held, need, f"no {method or 'fake media'} in {_place(need)}")
        return None

    def _other_quality(self, held: Holding, need: Need) -> Lack:
        """A compressed copy can be made of raw video; one of a compressed copy would be compressed twice."""
        there = ", ".join(held.qualities) or "none on record"
        reason = f"{held.name} has no {need.quality} (qualities: {there})"
        folder, factor = held.source or need.source.folder, _RATE_FACTORS.get(str(need.quality))
        if factor is None or RAW not in held.qualities:
            return Lack(f"{reason}: add its folders to {folder}", (self._stored(held),))
        degrade = shlex.join(["ffpipe", "degrade", folder, "--crf", str(factor), "--out", folder])
        return Lack(f"{reason}: add its folders to {folder}, or make them", (degrade, self._stored(held)))

    def _again(self, held: Holding, need: Need, what: str) -> Lack:
        commands = (self._stored(held),) if held.source else (self._extract(need),)
        return Lack(f"{held.name} has {what}", commands)

    def _stored(self, held: Holding) -> str:
        """The command that made the dataset: given again, it takes what has been added to its folder."""
        configuration = stored_job(self._workspace.dataset(held.name)).get("configuration", {})
        return extract_command(self._workspace, held.name, configuration)


def _place(need: Need) -> str:
    return f"{need.part}" + (f" at {need.quality}" if need.quality else "")


def _keyed(option: str, given: Sequence[str], sources: Mapping[str, Source]) -> dict[str, str]:
    """`KEY=VALUE` by key. Raises UsageError."""
    chosen: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not value or key not in sources:
            raise UsageError(f"{option} {text}: KEY=VALUE is allowed, KEY being one of {', '.join(sources)}")
        chosen[key] = value
    return chosen


def incomplete(held: Holding, need: Need) -> list[str]:
    """Lines on how far what a dataset holds falls short of what its owner ships, where that is known."""
    lines = []
    for part, expected in need.source.expected.items():
        if part in (need.part, None):
            lines += _short(held, need, part, expected)
    return lines


def _short(held: Holding, need: Need, part: Split | None, expected: Expected) -> list[str]:
    where = f"{part or 'all'} of {held.name}" + (f" at {need.quality}" if need.quality else "")
    there = {"real": (held.count(Label.REAL, part, need.quality), expected.real)}
    if not need.methods:
        there["fake"] = (held.count(Label.FAKE, part, need.quality), expected.fake)
    for method in need.methods:
        there[method] = (held.count(Label.FAKE, part, need.quality, (method,)), expected.fake)
    short = [f"{number} of {wanted} {name}" for name, (number, wanted) in there.items() if number < wanted]
    return [f"{where}: {', '.join(short)}"] if short else []


def _holding(workspace: Workspace, name: str) -> Holding | None:
    group = workspace.dataset(name)
    listed = [m for m in from_table(group.read("media"), MediaRecord) if m.label is not None]
    media = [m for m in listed if m.faces]
    if not media:
        return None
    job = stored_job(group)
    configuration = job.get("configuration", {})
    layout, source = job.get("layout"), configuration.get("source")
    return Holding(
        name=name,
        layout=layout,
        version=_celeb_df_version(listed, source) if layout == CELEB_DF_V1.layout else None,
        kind=crop_settings([name], [job]).kind,
        frames=max(m.frames_decoded for m in media),
        detector=configuration.get("detector"),
        split_source=str(job.get("split_source", "none")),
        source=source,
        counts=_counts(media),
        folders=_folders(media),
    )


def _counts(media: Sequence[MediaRecord]) -> Mapping[Key, int]:
    """Contents by what they are; copies of a content with the same labels count once."""
    parts = parts_of(media)
    told = {(m.media_id, parts[m.media_id], m.quality, Label(int(m.label or 0)), m.method) for m in media}
    return Counter((part, quality, label, method) for _, part, quality, label, method in told)


def _folders(media: Iterable[MediaRecord]) -> frozenset[str]:
    """Names of the two folders that training media lie in: a label's, and a class's above it."""
    trained = (m for m in media if (m.split or Split.TRAIN) is Split.TRAIN)
    return frozenset(level.lower() for m in trained for level in Path(m.path).parts[-3:-1])


def _celeb_df_version(media: Sequence[MediaRecord], source: str | None) -> str | None:
    """By count, which only the larger version can exceed and only the whole smaller one meet; else by folder name."""
    found = Counter(label for _, label in {(m.media_id, m.label) for m in media})
    first = CELEB_DF_V1.expected[None]
    if found[Label.REAL] > first.real or found[Label.FAKE] > first.fake:
        return CELEB_DF_V2.version
    if (found[Label.REAL], found[Label.FAKE]) == (first.real, first.fake):
        return CELEB_DF_V1.version
    named = _VERSION_NAME.search(Path(source).name) if source else None
    return f"v{named[1]}" if named else None
