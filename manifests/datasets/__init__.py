"""Dataset layouts: the registry, and recognition of the layout that a folder holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ffpipe.manifests.datasets.celeb_df import CelebDF
from ffpipe.manifests.datasets.deepfakebench import DeepfakeBench
from ffpipe.manifests.datasets.dfdc import DFDC
from ffpipe.manifests.datasets.dfdcp import DFDCPreview
from ffpipe.manifests.datasets.diffusion_fakes import DiffusionFakes
from ffpipe.manifests.datasets.ffpp import FaceForensics
from ffpipe.manifests.datasets.folder import Folder
from ffpipe.manifests.datasets.forensynths import ForenSynths
from ffpipe.manifests.datasets.layout import Count, Dataset, Layout, Recognition, subfolders
from ffpipe.manifests.datasets.unlabelled import Unlabelled
from ffpipe.manifests.datasets.wilddeepfake import WildDeepfake
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import AnyPath, display_path

__all__ = [
    "AUTO",
    "Count",
    "Dataset",
    "Layout",
    "Recognition",
    "get_layout",
    "list_layouts",
    "load",
    "recognise",
]

AUTO = "auto"
#: Any path is unlabelled media, so this one is asked only when no other layout fits.
_FALLBACK: Layout = Unlabelled()
#: One line a layout; recognition asks all of them.
_LABELLED: tuple[Layout, ...] = (
    FaceForensics(),
    DeepfakeBench(),
    CelebDF(),
    DFDC(),
    DFDCPreview(),
    Folder(),
    ForenSynths(),
    WildDeepfake(),
    DiffusionFakes(),
)
#: How many names of a folder an error spells out.
_SHOWN = 8


def list_layouts() -> list[Layout]:
    """Every registered layout."""
    return [*_LABELLED, _FALLBACK]


def get_layout(name: str) -> Layout:
    """The layout of this name.

    Raises:
        UsageError: there is none; the names that exist are listed.
    """
    for layout in list_layouts():
        if layout.name == name:
            return layout
    known = ", ".join(layout.name for layout in list_layouts())
    raise UsageError(f"no dataset layout is called {name!r}; known are {AUTO}, {known}")


def recognise(root: Path, name: str = AUTO) -> tuple[Layout, str]:
    """The layout of a folder and why it was taken; a `name` other than "auto" is taken as it is.

    Raises:
        UsageError: the folder is absent, several layouts fit, or the name is unknown.
    """
    if not root.exists():
        raise UsageError(f"{display_path(root)} does not exist")
    if name != AUTO:
        return get_layout(name), f"asked for with --dataset {name}"
    found = [(layout, seen) for layout in _LABELLED if (seen := layout.recognise(root))]
    if stated := [(layout, seen) for layout, seen in found if seen.stated]:
        # What a file of the folder says goes before the trees below it, such as the copies of `degrade`.
        found = stated + [(layout, seen) for layout, seen in found if not seen.stated and seen.root == root]
    if len(found) > 1:
        seen_all = "; ".join(f"{layout.name}: {seen.reason}" for layout, seen in found)
        raise UsageError(
            f"{display_path(root)} could be several layouts ({seen_all}); say which with "
            f"{' or '.join(f'--dataset {layout.name}' for layout, _ in found)}"
        )
    if found:
        return found[0][0], found[0][1].reason
    return _FALLBACK, f"no labelled layout fits; {_contents(root)}"


def load(
    root: Path,
    name: str = AUTO,
    *,
    splits_dir: Path | None = None,
    seed: int = 0,
    exclude: Sequence[AnyPath] = (),
) -> Dataset:
    """Recognise the layout and load it, the reason recorded in the result.

    Raises:
        UsageError: as `recognise` and the layout's own `load`, or nothing at all was found.
    """
    layout, reason = recognise(root, name)
    dataset = layout.load(root, splits_dir=splits_dir, seed=seed, exclude=exclude)
    dataset.reason = reason
    if not dataset.entries and not dataset.skipped:
        raise UsageError(f"{display_path(root)} holds no media; {_contents(root)}")
    return dataset


def _contents(root: Path) -> str:
    """What lies directly in a folder, for an error or a reason."""
    if not root.is_dir():
        return "it is a single file"
    names = [f"{display_path(child.name)}/" for child in subfolders(root)]
    if not names:
        return "it has no subfolders"
    more = len(names) - _SHOWN
    return f"its subfolders are {', '.join(names[:_SHOWN])}" + (f" and {more} more" if more > 0 else "")
