"""The FSSNet paper's protocol: trained on four classes of ProGAN, tested on eight GAN sets and ten of diffusion.

Own rows alone are carried over: the papers' other rows are quoted from elsewhere and say nothing of this code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ffpipe.models.detector import OptionValue
from ffpipe.pipeline.reproduction.protocols.protocol import (
    ACC,
    AP,
    MEAN,
    Printed,
    Protocol,
    Training,
    Trial,
    pair,
    percent,
)
from ffpipe.pipeline.reproduction.protocols.sources import DIFFUSION_FAKES, FORENSYNTHS, by_key

_ROW = "FSSNet(our)"
_FULL = "full"

#: Table 1: column -> the generator's name in ForenSynths, accuracy and AP.
_TABLE_1 = {
    "ProGAN": ("progan", 99.9, 100.0),
    "StyleGAN": ("stylegan", 93.0, 98.2),
    "StyleGAN2": ("stylegan2", 95.3, 98.8),
    "BigGAN": ("biggan", 99.6, 99.9),
    "CycleGAN": ("cyclegan", 97.7, 99.7),
    "StarGAN": ("stargan", 98.3, 99.8),
    "GauGAN": ("gaugan", 99.8, 100.0),
    "Deepfake": ("deepfake", 74.6, 79.7),
}
_TABLE_1_MEAN = (94.8, 97.0)
#: Table 2: column -> the set's name, accuracy and AP.
_TABLE_2 = {
    "PNDM": ("pndm", 97.9, 99.8),
    "DALL-E": ("dalle", 96.2, 99.1),
    "VQ-Diffusion": ("vqdiffusion", 97.0, 99.5),
    "LDM 100": ("ldm_100", 97.2, 99.6),
    "LDM 200": ("ldm_200", 97.6, 99.6),
    "LDM 200-cfg": ("ldm_200_cfg", 89.8, 96.0),
    "Guided": ("guided", 88.9, 95.0),
    "Glide 100-10": ("glide_100_10", 86.9, 94.3),
    "Glide 100-27": ("glide_100_27", 88.0, 95.2),
    "Glide 50-27": ("glide_50_27", 86.7, 93.9),
}
_TABLE_2_MEAN = (92.6, 97.2)
_TABLE_2_NOTE = (
    "the printed header names nine of ten sets; PNDM, the first in section 4.2, is read as the first"
)

#: Tables 3 and 4: row -> training, options, accuracy and AP over the GAN sets, then over the diffusion sets.
_MEANS = dict[str, tuple[str, Mapping[str, OptionValue], tuple[float, float], tuple[float, float]]]
_TABLE_3: _MEANS = {
    "Low": (_FULL, {}, (94.78, 97.02), (92.54, 97.18)),
    "Mid": ("mid-band", {"band": "mid"}, (94.24, 96.51), (92.58, 97.18)),
    "High": ("high-band", {"band": "high"}, (94.42, 96.66), (92.30, 97.05)),
}
_TABLE_4: _MEANS = {
    "Rgb": ("rgb-only", {"streams": "rgb"}, (89.78, 91.52), (88.35, 93.51)),
    "Freq": ("freq-only", {"streams": "freq"}, (89.14, 91.05), (87.94, 92.88)),
    "Rgb Freq AFF": ("no-sbca", {"sbca": "off"}, (93.50, 95.77), (90.98, 96.39)),
    "Rgb Freq SBCA": ("no-aff", {"aff": "off"}, (92.88, 95.20), (91.92, 97.30)),
    "Rgb Freq SBCA AFF": (_FULL, {}, (94.78, 97.02), (92.58, 97.18)),
}

_GANS = Trial(FORENSYNTHS.key, methods=tuple(name for name, *_ in _TABLE_1.values()))
_DIFFUSION = Trial(DIFFUSION_FAKES.key, methods=tuple(name for name, *_ in _TABLE_2.values()))


def _shares(values: tuple[float, float]) -> tuple[float, float]:
    return percent(values[0]), percent(values[1])


def _sets(
    table: int,
    test: Trial,
    columns: Mapping[str, tuple[str, float, float]],
    mean: tuple[float, float],
    note: str = "",
) -> Iterator[Printed]:
    for column, (name, accuracy, precision) in columns.items():
        at = Printed(table, _ROW, column, ACC, 0.0, _FULL, test, name, note)
        yield from pair(at, (ACC, AP), _shares((accuracy, precision)))
    yield from pair(Printed(table, _ROW, "Mean", ACC, 0.0, _FULL, test, MEAN), (ACC, AP), _shares(mean))


def _means(table: int, rows: _MEANS) -> Iterator[Printed]:
    for row, (training, _, *values) in rows.items():
        for column, test, figures in zip(("GANs", "DMs"), (_GANS, _DIFFUSION), values, strict=True):
            at = Printed(table, row, column, ACC, 0.0, training, test, MEAN)
            yield from pair(at, (ACC, AP), _shares(figures))


def _trainings() -> Iterator[Training]:
    options = {training: changed for training, changed, *_ in (*_TABLE_3.values(), *_TABLE_4.values())}
    for name, changed in options.items():
        yield Training(name, "fssnet", FORENSYNTHS.key, 1, options=changed)


FSSNET = Protocol(
    name="fssnet",
    paper="Su, Chen: FSSNet: Frequency-Spatial Synergy Network for Universal Deepfake Detection",
    sources=by_key(FORENSYNTHS, DIFFUSION_FAKES),
    trainings=tuple(_trainings()),
    printed=(
        *_sets(1, _GANS, _TABLE_1, _TABLE_1_MEAN),
        *_sets(2, _DIFFUSION, _TABLE_2, _TABLE_2_MEAN, _TABLE_2_NOTE),
        *_means(3, _TABLE_3),
        *_means(4, _TABLE_4),
    ),
    notes=(
        "the full model's accuracy over the diffusion sets is printed as 92.6 (table 2, whose ten sets have a mean of "
        "92.62), 92.54 (table 3) and 92.58 (table 4, which is table 3's figure of the middle band)",
        "the eight GAN sets are called unseen; ProGAN, which is trained on, is one of them",
        "section 4.2 lists StyleGAN twice: the second is read as StyleGAN2, as table 1 has it",
        "the paper names no validation part: ForenSynths' own is taken",
    ),
)
