"""The statistics of a face against those of real and fake training faces: the means of SIDA's luma differences.

Of D (4 statistics, 3 differences, 3 channels, 64 frequencies) the mean of the luma is drawn, as in figure 7 of the
SFCL-HCMF paper: between blocks downwards, between blocks across, and from one frequency of a block to the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

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
_BELOW = "; below: over the median of real faces"
_WIDTH, _LEFT, _TOP, _PLOT, _GAP = 900, 44, 24, 220, 22
#: Between the row of differences and that of ratios below it, and the height of that.
_SPACE, _RATIO_PLOT = 30, 170
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


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of panels: where it lies, its scale with what stands at its lines, and what is drawn of a value."""

    top: float
    plot: float
    y: Scale
    ticks: Sequence[tuple[float, str]]
    drawn: Callable[[Values, int], Values]


def spectrum(face: npt.ArrayLike, bands: Mapping[BandName, Band]) -> Markup:
    """The figure of a face's D (2304,) over the bands of the classes, and all of it over the median of real faces."""
    vectors = [face, *(getattr(band, part) for band in bands.values() for part in ("low", "high"))]
    lines = [luma_means(vector) for vector in vectors]
    made = [_differences(lines)]
    if "real" in bands:
        made.append(_ratios(lines, luma_means(bands["real"].median)))
    bottom = made[-1].top + made[-1].plot
    defs = tag("defs", *(hatch(f"{name}-hatch", strokes, 6, name) for name, strokes in _PATTERNS.items()))
    panels = (_panel(k, row, face, bands) for row in made for k in range(len(PANELS)))
    axis = _AXIS + _BELOW * (len(made) - 1)
    about = (
        "Mean absolute difference in grey levels at each of 64 frequencies, on a logarithmic scale, in three panels: "
        f"{'; '.join(PANELS)}. The table below holds the same figures."
    )
    return drawing(
        "spectrum", _WIDTH, bottom + 70, "Statistics of the face by frequency", about,
        defs, *panels, text(_LEFT, bottom + 31, axis, "tick"), _legend(bottom + 50, bands),
    )  # fmt: skip


def rows(face: npt.ArrayLike, bands: Mapping[BandName, Band]) -> Iterator[tuple[str, int, list[float]]]:
    """What is drawn, for a table: panel, frequency, the face's value, and of each band low, median and high."""
    columns = [luma_means(face)]
    columns += [
        luma_means(getattr(band, part)) for band in bands.values() for part in ("low", "median", "high")
    ]
    for panel, length in enumerate(_LENGTHS):
        for frequency in range(length):
            yield PANELS[panel], frequency, [float(column[panel][frequency]) for column in columns]


def _differences(lines: Sequence[Sequence[Values]]) -> _Row:
    """Grey levels on a logarithmic scale of whole powers of ten around the values."""
    values = np.concatenate([panel for panels in lines for panel in panels])
    low = math.floor(math.log10(max(_FLOOR, float(values.min()))))
    high = max(math.ceil(math.log10(max(10 * _FLOOR, float(values.max())))), low + 1)
    ticks = [(power, f"{10.0**power:g}") for power in range(low, high + 1)]
    return _Row(
        _TOP, _PLOT, Scale(low, high, _TOP + _PLOT, _TOP), ticks,
        lambda values, panel: np.log10(np.maximum(_FLOOR, values)),
    )  # fmt: skip


def _ratios(lines: Sequence[Sequence[Values]], median: Sequence[Values]) -> _Row:
    """Values over a median, on a scale of whole powers of two around them, of at most a factor of 16 either way."""

    def ratio(values: Values, panel: int) -> Values:
        return np.log2(np.maximum(_FLOOR, values) / np.maximum(_FLOOR, median[panel]))

    top = _TOP + _PLOT + _SPACE
    most = max(np.abs(ratio(values, panel)).max() for panels in lines for panel, values in enumerate(panels))
    reach = min(4, max(1, math.ceil(most)))
    ticks = [(power, f"× {2.0**power:g}") for power in range(-reach, reach + 1)]
    return _Row(top, _RATIO_PLOT, Scale(-reach, reach, top + _RATIO_PLOT, top), ticks, ratio)


def _panel(panel: int, row: _Row, face: npt.ArrayLike, bands: Mapping[BandName, Band]) -> Markup:
    left = _LEFT + panel * (_PANEL + _GAP)
    x = Scale(0, 63, left, left + _PANEL)
    parts = [box(left, row.top, _PANEL, row.plot, "plot")]
    if row.top == _TOP:
        parts.append(text(left, row.top - 8, PANELS[panel], "tick"))
    for value, words in row.ticks:
        parts.append(line(left, row.y(value), left + _PANEL, row.y(value), "grid"))
        if panel == 0:
            parts.append(text(left - 5, row.y(value) + 4, words, "tick", "end"))

    def points(vector: npt.ArrayLike) -> list[tuple[float, float]]:
        drawn = row.drawn(luma_means(vector)[panel], panel)
        return [(x(k), row.y(float(value))) for k, value in enumerate(drawn)]

    for name, band in bands.items():
        edge = [*points(band.high), *reversed(points(band.low))]
        parts += [
            path(edge, f"range {name}", f"{name}-hatch"),
            path(points(band.median), f"median {name}"),
        ]
    parts.append(path(points(face), "face"))
    for value in (0, 16, 32, 48, 63):
        parts.append(text(x(value), row.top + row.plot + 15, f"{value}", "tick", "middle"))
    return tag("g", *parts)


def _legend(top: float, bands: Mapping[BandName, Band]) -> Markup:
    place, parts = float(_LEFT), []
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
