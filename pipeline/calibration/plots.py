"""The plots of a calibration: reliability before and after, and the Tippett plot of both."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
from matplotlib.figure import Figure

from ffpipe.pipeline import plots
from ffpipe.pipeline.output import inert
from ffpipe.stages.calibration_figures import own_posterior, tippett
from ffpipe.stages.curves import reliability
from ffpipe.stages.sample import Floats


def calibration_plots(
    labels: npt.NDArray[Any], raw: Floats, calibrated: Floats, title: str, method: str
) -> dict[str, Figure]:
    """Name -> figure of ln LR (n,) as scores give them and as a calibration does, of media of both classes."""
    n_fake = int(labels.sum())
    title = f"{inert_lines(title)}, n = {len(labels) - n_fake} real, {n_fake} fake"
    found, before = (reliability(labels, own_posterior(labels, ratios)) for ratios in (calibrated, raw))
    return {
        "reliability": plots.reliability_figure(
            found, f"Reliability, {title}", before=before, score=f"probability of fake, {method}"
        ),
        "tippett": plots.tippett_figure(
            tippett(labels, calibrated), f"Tippett plot, {title}", before=tippett(labels, raw), name=method
        ),
    }


def inert_lines(text: str) -> str:
    """Lines without control characters."""
    return "\n".join(inert(line) for line in text.split("\n"))
