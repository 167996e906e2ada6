"""Celeb-DF as the paper on SFFB divides it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ffpipe.manifests.division import Ratios, divide, shares
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.protocols.contract import Division, Material, Options, link_notes, register, shares_line
from ffpipe.manifests.records import Entry, Label, Split

LAYOUT = "celeb-df"
#: Real and fake videos of Celeb-DF v1 (SFFB's paper, section on datasets).
V1_VIDEOS = (408, 795)
#: How far a split's share of a class may be from what was asked for, as a share.
TOLERANCE = 0.05


@register("sffb-celeb-df-6-1-1", "seed", "links")
def _sffb_celeb_df(material: Material, options: Options) -> Division:
    """Celeb-DF v1 in the ratio 6 : 1 : 1, by seed.

    Wang et al., SFFB with knowledge distillation, section on datasets: 408 real and 795 fake videos. The paper does not
    say that people were kept apart, and they can hardly have been: Celeb-DF swaps almost everybody with everybody, so
    that its people are one group. Whole groups are tried first; where they cannot give the ratio the protocol refuses
    and names the ways out: `--links drop`, which divides the people and leaves out the fakes between splits, and
    `--links ignore`, which divides videos as the paper seems to have done, and leaks identities.
    """
    if material.layout != LAYOUT:
        raise UsageError(f"sffb-celeb-df-6-1-1 is a split of Celeb-DF; the layout here is {material.layout}")
    ratios = (6 / 8, 1 / 8, 1 / 8)
    entries = divide(material.entries, material.contents, options.seed, ratios, options.links or "whole")
    if options.links in (None, "whole") and (off := _off(entries, ratios)):
        kept, tied = _cost_of_dropping(material, options.seed, ratios)
        raise UsageError(
            f"whole groups cannot give 6:1:1: {off}. --links drop divides the people and leaves out the {tied} media "
            f"that show people of two splits ({kept} stay); --links ignore divides videos whoever they show, as the "
            "paper seems to do, and is not group-disjoint"
        )
    labels = Counter(entry.label for entry in material.entries)
    real, fake = V1_VIDEOS
    notes = [shares_line(entries, ratios), *link_notes(entries, options.links)]
    if (labels[Label.REAL], labels[Label.FAKE]) != V1_VIDEOS:
        notes.append(
            f"the paper has {real} real and {fake} fake videos of Celeb-DF v1; here are {labels[Label.REAL]} and "
            f"{labels[Label.FAKE]}"
        )
    return Division(entries, notes)


def _off(entries: Sequence[Entry], ratios: Ratios) -> str | None:
    """The split whose share of a class is furthest from the ratio, in words; None where all are near."""
    found = [
        (abs(share - ratio), f"{share:.0%} of the {label.name.lower()} media in {split}")
        for label in Label
        for split, share, ratio in zip(Split, shares(entries, label), ratios, strict=True)
    ]
    distance, words = max(found)
    return words if distance > TOLERANCE else None


def _cost_of_dropping(material: Material, seed: int, ratios: Ratios) -> tuple[int, int]:
    """How many media `--links drop` would keep and leave out."""
    entries = divide(material.entries, material.contents, seed, ratios, "drop")
    kept = sum(entry.split is not None for entry in entries)
    return kept, len(entries) - kept
