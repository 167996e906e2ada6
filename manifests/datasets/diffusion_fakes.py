"""`diffusion-fakes`: test sets of diffusion models beside the real pictures that several of them share.

What: whole pictures made by diffusion models, none of them a face crop; detectors that were trained on a GAN are tested
on them (Ojha et al., CVPR 2023: Towards Universal Fake Image Detectors; Wang et al., ICCV 2023: DIRE).
Layout, each in the folder given or up to four below it:
- Ojha's `diffusion_datasets/{guided,ldm_100,ldm_200,ldm_200_cfg,glide_100_10,glide_100_27,glide_50_27,dalle}`, with
  `1_fake/` or the pictures themselves, beside `imagenet/` (the real pictures for guided) and `laion/` (for the rest);
  DIRE's PNDM and VQ-Diffusion may stand among them, with `lsun_bedroom/` or `real/` as their real pictures;
- DIRE's `images/test/<collection>/{real,pndm,vqdiffusion,adm,…}/[<class>/]*`, also with its `dire/` and `recons/`;
- the same sets as other code bases lay them out, each with real pictures of its own: `<set>/[<class>/]{0_real,1_fake}`.
Labels: the folder. Method: the set. Subset: the folder of real pictures that the set is measured against, such as
`laion`: they are stored once, and every set with that subset is compared with them.
Split: everything is test; DIRE's training and validation folders are left out. Groups: each picture by itself;
extraction joins identical content.
Counts: Ojha's release has 1,000 pictures in each set and in each folder of real ones (its README). DIRE's were not
verified. Licence: the owners', and those of the collections that the real pictures come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ffpipe.manifests.datasets.layout import (
    Count,
    Dataset,
    Recognition,
    named_subfolders,
    plain_name,
    subfolders,
)
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.filekinds import IMAGE_SUFFIXES
from ffpipe.manifests.inputs import AnyPath, Skipped, collect, display_path
from ffpipe.manifests.records import Entry, Label, Split

#: Ojha's sets, and the folder beside them that holds the real pictures of each.
OJHA = {
    "guided": "imagenet",
    **dict.fromkeys(
        ("ldm_100", "ldm_200", "ldm_200_cfg", "glide_100_10", "glide_100_27", "glide_50_27", "dalle"), "laion"
    ),
}
#: DIRE's sets; the owner's folders have more than these, which are taken where they stand beside them.
DIRE = ("pndm", "vqdiffusion", "adm", "ddpm", "iddpm", "ldm", "sdv1", "sdv1_new", "sdv2")
#: Pictures in each of Ojha's folders (README of the release).
OJHA_PICTURES = 1000

_SETS = {plain_name(name): name for name in (*OJHA, *DIRE)}
#: Folders that may hold the real pictures of DIRE's sets, the likeliest first.
_DIRE_REALS = ("real", "lsunbedroom")
_REAL, _FAKE = "0real", "1fake"
#: Folders beside DIRE's pictures that hold what its detector makes of them.
_DERIVED = frozenset({"dire", "recons"})
_UNTESTED = frozenset({"train", "val"})
_SEARCH_LEVELS = 4


@dataclass(frozen=True, slots=True)
class _Part:
    """A folder of pictures of one label. `method` is the set, None for real ones."""

    folder: Path
    subset: str
    method: str | None

    @property
    def label(self) -> Label:
        return Label.REAL if self.method is None else Label.FAKE


class DiffusionFakes:
    """Ojha's and DIRE's trees, as downloaded or as the field's code bases lay them out."""

    name = "diffusion-fakes"
    summary = "diffusion_datasets/{guided,ldm_200,…} beside imagenet/ and laion/, DIRE's sets; whole images, test only"

    def recognise(self, root: Path) -> Recognition | None:
        """By sets beside a folder of their real pictures, or by two sets with real pictures of their own."""
        for hub in _hubs(root):
            parts = _parts_of(hub)
            reals = {part.subset for part in parts if part.method is None}
            fakes = sorted({part.method for part in parts if part.method and part.subset in reals})
            # Below a split, sets with real pictures of their own are ForenSynths'.
            own = len(fakes) > 1 and not _in_split(root, hub)
            if fakes and (own or reals - set(fakes)):
                told = f"found {', '.join(fakes)} with the real pictures of {', '.join(sorted(reals))}"
                return Recognition(hub, f"{display_path(told)} in {display_path(hub)}")
        return None

    def load(
        self, root: Path, *, splits_dir: Path | None = None, seed: int = 0, exclude: Sequence[AnyPath] = ()
    ) -> Dataset:
        """Every picture of every set and of the real ones they are measured against; `seed` has nothing to divide.

        Raises:
            UsageError: no set with a picture in it, only training folders, or `splits_dir` given.
        """
        if splits_dir is not None:
            raise UsageError(
                "--splits is for layouts with official split files; diffusion-fakes is test material only"
            )
        dataset = Dataset(self.name, [], split_source="official test sets", whole=True)
        left_out = sorted({display_path(hub.relative_to(root)) for hub in _hubs(root, tested=False)})
        if left_out:
            dataset.notes.append(f"training and validation folders were left out: {', '.join(left_out)}")
        for hub in _hubs(root):
            parts = _parts_of(hub)
            for part in parts:
                _add_pictures(root, part, dataset, exclude)
            _note_missing_reals(parts, dataset)
        if not dataset.entries:
            raise UsageError(
                f"{display_path(root)} has no picture in a set of diffusion-fakes ({', '.join(_SETS.values())})"
                + (": only training and validation folders" if left_out else "")
            )
        return dataset


def _hubs(root: Path, tested: bool = True) -> Iterator[Path]:
    """Folders that hold sets side by side, none inside another; those of the training splits where not `tested`."""

    def walk(folder: Path, levels: int, untested: bool) -> Iterator[Path]:
        untested = untested or plain_name(folder.name) in _UNTESTED
        if any(name in _SETS for name in named_subfolders(folder)):
            if untested != tested:
                yield folder
            return
        children = subfolders(folder) if levels else []
        # A folder that holds DIRE's whole release may be called DIRE: its derived pictures stand beside `images`.
        derived = _DERIVED if "images" in map(plain_name, (child.name for child in children)) else ()
        for child in children:
            if not child.is_symlink() and plain_name(child.name) not in derived:
                yield from walk(child, levels - 1, untested)

    yield from walk(root, _SEARCH_LEVELS, untested=False)


def _in_split(root: Path, hub: Path) -> bool:
    levels = (root.name, *hub.relative_to(root).parts)
    return any(plain_name(level) in ("test", *_UNTESTED) for level in levels)


def _parts_of(hub: Path) -> list[_Part]:
    """The folders of pictures side by side in a hub, with the subset that each set belongs to."""
    beside = named_subfolders(hub)
    parts: list[_Part] = []
    shared: dict[str, Path] = {}
    for plain, folder in beside.items():
        method = _SETS.get(plain) or (folder.name if _is_dire_set(plain, beside) else None)
        if method is None:
            continue
        own = list(_label_folders(folder, _REAL))
        fakes = list(_label_folders(folder, _FAKE)) or ([] if own else [folder])
        reals = None if own else _reals_of(method, beside)
        # Without real pictures a set still has its fakes, and a subset of its own.
        subset = _subset_name(hub, reals) if reals else method
        parts += [_Part(place, subset, None) for place in own]
        parts += [_Part(place, subset, method) for place in fakes]
        if reals:
            shared[subset] = reals
    parts += [
        _Part(place, subset, None)
        for subset, folder in shared.items()
        for place in list(_label_folders(folder, _REAL)) or [folder]
    ]
    return parts


def _is_dire_set(plain: str, beside: dict[str, Path]) -> bool:
    """Whether a folder stands where DIRE has its sets: beside `real` and one of the sets that are known."""
    reals = {"real", *OJHA.values(), *_DIRE_REALS, *_DERIVED}
    return "real" in beside and plain not in reals and not plain.endswith(("real", "fake"))


def _label_folders(folder: Path, label: str) -> Iterator[Path]:
    """The folders of a label directly inside, or one level of classes below."""
    children = named_subfolders(folder)
    if label in children:
        yield children[label]
        return
    for child in children.values():
        yield from (path for name, path in named_subfolders(child).items() if name == label)


def _reals_of(method: str, beside: dict[str, Path]) -> Path | None:
    """The folder of real pictures that a set is measured against, where it is there."""
    names = (OJHA[method],) if method in OJHA else _DIRE_REALS
    return next((beside[name] for name in names if name in beside), None)


def _subset_name(hub: Path, reals: Path) -> str:
    """The name of a folder of real pictures; DIRE's are called `real` in the folder of each collection."""
    return hub.name if plain_name(reals.name) == "real" else reals.name


def _add_pictures(root: Path, part: _Part, dataset: Dataset, exclude: Sequence[AnyPath]) -> None:
    inputs = collect([part.folder], exclude)
    dataset.companions += inputs.companions
    dataset.skipped += inputs.skipped
    found = 0
    for path in inputs.entries:
        if Path(path).suffix.lower() not in IMAGE_SUFFIXES:
            dataset.skipped.append(Skipped(path, "not a picture of diffusion-fakes"))
            continue
        found += 1
        dataset.entries.append(
            Entry(
                path,
                label=part.label,
                method=part.method,
                split=Split.TEST,
                group=f"diffusion-fakes/{display_path(Path(path).relative_to(root))}",
                subset=part.subset,
            )
        )
    if (part.method or part.subset) in (*OJHA, *OJHA.values()):
        dataset.expected.append(
            Count(f"{part.method or part.subset} {part.label.name.lower()}", found, OJHA_PICTURES)
        )


def _note_missing_reals(parts: Sequence[_Part], dataset: Dataset) -> None:
    """Say which sets have nothing to be measured against."""
    reals = {part.subset for part in parts if part.method is None}
    for method in sorted({part.method for part in parts if part.method and part.subset not in reals}):
        wanted = OJHA.get(method, "real")
        dataset.notes.append(f"{display_path(method)} has no real pictures: {wanted}/ is not beside it")
