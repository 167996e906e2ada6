"""A model's reference in words: what it rests on, from where on media are out of domain, and what is too little."""

from __future__ import annotations

from ffpipe.stages.domain import MEASURES, Measure, Reference

_WORDS: dict[Measure, str] = {
    "crop_side": "side of the crops, in pixels",
    "sharpness": "sharpness, the variance of the Laplacian",
    "bits": "bits per pixel and second of the files",
    "frames": "frames that a score rests on, of validation",
}


def reference_lines(reference: Reference) -> list[str]:
    """A sentence each."""
    counts = " and ".join(f"{count} {name}" for name, count in reference.faces.items() if count)
    gaussian = reference.gaussian
    lines = [
        f"Their statistics D are stored as a Gaussian of {len(gaussian.factors)} factors over {counts} faces, shrunk "
        f"by {gaussian.shrinkage:.3f}; pseudo-fakes are not among them."
    ]
    bound = reference.bound
    if bound.value is None:
        lines.append(f"No medium is called out of domain: {bound.reason}.")
    else:
        lines.append(
            f"Beyond a distance of {bound.value:.3f} a medium is out of domain and its verdict inconclusive; of media "
            f"like the {bound.count} of validation, in {bound.groups} groups, at most {bound.share:.1%} lie there."
        )
    for measure in MEASURES:
        if spread := reference.spreads.get(measure):
            floor = spread.floor
            told = (
                f"too little under {floor.value:.4g}"
                if floor.value is not None
                else f"no floor, {floor.reason}"
            )
            low, *_, middle, _, _, high = spread.quantiles
            shown = f"{middle:.4g} in the median, 98% between {low:.4g} and {high:.4g}"
            lines.append(f"{_WORDS[measure][:1].upper()}{_WORDS[measure][1:]}: {shown}; {told}.")
    return lines


def reference_text(reference: Reference) -> str:
    """The same as a Markdown list."""
    return "\n".join(f"- {line}" for line in reference_lines(reference))
