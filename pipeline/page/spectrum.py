"""The statistics of a face against those of real and fake training faces: the means of SIDA's luma differences.

Of D (4 statistics, 3 differences, 3 channels, 64 frequencies) the mean of the luma is drawn, as in figure 7 of the
SFCL-HCMF paper: between blocks downwards, between blocks across, and from one frequency of a block to the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from ffpipe.pipeline.page.svg import Scale, box, drawing, hatch, line, path, tag, text
from ffpipe.stages.domain import BAND_NAMES, Band, BandName, Reference, figure_of

Values = npt.NDArray[np.float64]

#: The frequencies of each difference that mean something: there is no 64th step within a block.
_LENGTHS = (64, 64, 63)
PANELS = ("between blocks, downwards", "between blocks, across", "within a block, to the next frequency")
#: The strokes that fill the band of each class.
_PATTERNS = {"real": "M-1 1l2-2M0 6l6-6M5 7l2-2", "fake": "M1 1h1.5M4 4h1.5"}
_AXIS = "frequency within the 8 x 8 block, coarse to fine; height: mean difference in grey levels"
_WIDTH, _LEFT, _TOP, _PLOT, _GAP = 900, 44, 24, 220, 22
_PANEL = (_WIDTH - _LEFT - 2 * _GAP - 8) / 3
#: Below this many grey levels a difference is nothing that a picture of 8 bits could show.
_FLOOR = 0.01


def bands_of(reference: Reference | None) -> dict[BandName, Band]:
    """The bands that a model's reference holds, real first; none without a reference."""
    return (
        {name: reference.bands[name] for name in BAND_NAMES if name in reference.bands} if reference else {}
    )


def luma_means(vector: npt.ArrayLike) -> list[Values]:
    """Of D (2304,) the mean absolute differences of the luma, in grey levels: three arrays of 64, 64 and 63."""
    means = np.float64(figure_of(np.asarray(vector))).reshape(len(PANELS), -1)  # (3,64)
    return [means[panel, :length] for panel, length in enumerate(_LENGTHS)]


def outside(face: npt.ArrayLike, band: Band) -> int:
    """How many of the drawn values of a face lie outside a band."""
    parts = zip(luma_means(face), luma_means(band.low), luma_means(band.high), strict=True)
    return sum(int(((value < low) | (value > high)).sum()) for value, low, high in parts)


def spectrum(face: npt.ArrayLike, bands: Mapping[BandName, Band]) -> Markup:
    """The figure of a face's D (2304,) over the bands of the classes."""
    vectors = [face, *(getattr(band, part) for band in bands.values() for part in ("low", "high"))]
    drawn = np.concatenate([panel for vector in vectors for panel in luma_means(vector)])
    y = _levels(drawn)
    defs = tag("defs", *(hatch(f"{name}-hatch", strokes, 6, name) for name, strokes in _PATTERNS.items()))
    parts = [defs, *(_panel(k, face, bands, y) for k in range(3)), _legend(bands)]
    about = (
        "Mean absolute difference in grey levels at each of 64 frequencies, on a logarithmic scale, in three panels: "
        f"{'; '.join(PANELS)}. The table below holds the same figures."
    )
    height = _TOP + _PLOT + 70
    return drawing("spectrum", _WIDTH, height, "Statistics of the face by frequency", about, *parts)


def rows(face: npt.ArrayLike, bands: Mapping[BandName, Band]) -> Iterator[tuple[str, int, list[float]]]:
    """What is drawn, for a table: panel, frequency, the face's value, and of each band low, median and high."""
    columns = [luma_means(face)]
    columns += [
        luma_means(getattr(band, part)) for band in bands.values() for part in ("low", "median", "high")
    ]
    for panel, length in enumerate(_LENGTHS):
        for frequency in range(length):
            yield PANELS[panel], frequency, [float(column[panel][frequency]) for column in columns]


def _levels(drawn: Values) -> Scale:
    """A logarithmic scale of whole powers of ten around the values."""
    low = math.floor(math.log10(max(_FLOOR, float(drawn.min()))))
    high = math.ceil(math.log10(max(10 * _FLOOR, float(drawn.max()))))
    return Scale(low, max(high, low + 1), _TOP + _PLOT, _TOP)


def _panel(panel: int, face: npt.ArrayLike, bands: Mapping[BandName, Band], y: Scale) -> Markup:
    left = _LEFT + panel * (_PANEL + _GAP)
    x = Scale(0, 63, left, left + _PANEL)
    parts = [box(left, _TOP, _PANEL, _PLOT, "plot"), text(left, _TOP - 8, PANELS[panel], "tick")]
    for power in range(int(y.low), int(y.high) + 1):
        parts.append(line(left, y(power), left + _PANEL, y(power), "grid"))
        if panel == 0:
            parts.append(text(left - 5, y(power) + 4, f"{10.0**power:g}", "tick", "end"))
    for name, band in bands.items():
        low, median, high = (luma_means(each)[panel] for each in (band.low, band.median, band.high))
        edge = [*_points(high, x, y), *reversed(_points(low, x, y))]
        parts += [path(edge, f"range {name}", f"{name}-hatch"), path(_points(median, x, y), f"median {name}")]
    parts.append(path(_points(luma_means(face)[panel], x, y), "face"))
    for value in (0, 16, 32, 48, 63):
        parts.append(text(x(value), _TOP + _PLOT + 15, f"{value}", "tick", "middle"))
    return tag("g", *parts)


def _points(values: Values, x: Scale, y: Scale) -> list[tuple[float, float]]:
    return [(x(k), y(math.log10(max(_FLOOR, float(value))))) for k, value in enumerate(values)]


def _legend(bands: Mapping[BandName, Band]) -> Markup:
    top, place = _TOP + _PLOT + 50, float(_LEFT)
    parts = [text(_LEFT, _TOP + _PLOT + 31, _AXIS, "tick")]  # fmt: skip
    items: Sequence[tuple[str, str]] = [
        ("this face", ""),
        *((f"{name} training faces", name) for name in bands),
    ]
    for words, name in items:
        if name:
            parts += [
                box(place, top - 8, 26, 14, f"range {name}", f"{name}-hatch"),
                line(place, top - 1, place + 26, top - 1, f"median {name}"),
            ]
        else:
            parts.append(line(place, top - 1, place + 26, top - 1, "face"))
        parts.append(text(place + 32, top + 4, words, "tick"))
        place += 60 + 6.4 * len(words)
    return Markup().join(parts)
