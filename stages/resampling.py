"""Draws of whole source groups with replacement, as samples to take metrics of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ffpipe.stages.sample import Sample, checked

#: Labels, scores and groups of the same media.
Part = tuple[npt.ArrayLike, npt.ArrayLike, Sequence[str]]

REPLICATES = 2000
#: Bound on the cells of the (B, n) arrays of weights of a step, about 32 MB.
_CELLS = 4_000_000


def resamples(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: Sequence[str],
    *,
    threshold: float = 0.5,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Iterator[Sample]:
    """Draws of whole groups with replacement, many to a sample, so that memory is bounded.

    Media of the same groups in the same order get the same draws, whatever their scores: that pairs two models.
    Raises ValueError as `Metric`.
    """
    for (sample,) in joint_resamples([(labels, scores, groups)], threshold, replicates, seed):
        yield sample


def joint_resamples(
    parts: Sequence[Part], threshold: float, replicates: int, seed: int
) -> Iterator[list[Sample]]:
    """The same draws of the groups of all parts together, many to a step, as a sample of each part.

    A group that has media in several parts is drawn as often in each. Raises ValueError as `Metric`.
    """
    known = [checked(labels, scores) for labels, scores, _ in parts]
    number = {name: k for k, name in enumerate(sorted({name for *_, groups in parts for name in groups}))}
    members = [np.array([number[name] for name in groups]) for *_, groups in parts]
    random = np.random.default_rng(seed)
    chances = np.full(len(number), 1 / len(number))
    rows = max(1, _CELLS // sum(truth.size for truth, _ in known))
    for start in range(0, replicates, rows):
        times = random.multinomial(len(number), chances, size=min(rows, replicates - start))
        yield [
            Sample(truth, values, times[:, member].astype(np.float64), threshold)
            for (truth, values), member in zip(known, members, strict=True)
        ]
