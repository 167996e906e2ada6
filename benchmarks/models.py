"""The networks alone: images a second of each detector, eager float32 beside the other arithmetics.

All ways are run in turn in every round (`stages.tuning`, as a training run does it to choose what `score` uses); the
ratio is to eager float32, and the star marks the fastest within the tolerance. Networks have random weights with
running statistics of the very images, so that a difference of scores is only a hint of a trained network's.
`--compile` adds torch.compile of the fastest one, its ratio being to that one uncompiled, with the seconds that
compiling took and the images that make up for them; `score --compile` does the same.
Needs torch, torchvision, timm and NumPy alone; runs on the GPU where there is one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ffpipe.models import create_detector, list_detectors
from ffpipe.models.detector import Detector
from ffpipe.models.sida import SIDA_SIZE
from ffpipe.stages.arithmetic import ARITHMETICS, REFERENCE, Arithmetic
from ffpipe.stages.tuning import TOLERANCE, Inputs, fastest, try_all

#: Times that a compiled network and the same one uncompiled are run; the median counts.
ROUNDS = 7


def made(size: int, batch: int, batches: int) -> list[Inputs]:
    """Smooth pictures with a little noise, and positive statistics."""
    random = torch.Generator().manual_seed(0)

    def picture() -> Tensor:
        coarse = torch.rand(batch, 3, 8, 8, generator=random)
        smooth = functional.interpolate(coarse, (size, size), mode="bilinear")
        return (smooth + 0.05 * torch.randn(smooth.shape, generator=random)).clamp(0, 1)

    return [(picture(), 20 * torch.rand(batch, SIDA_SIZE, generator=random)) for _ in range(batches)]


def build(name: str, inputs: list[Inputs], device: torch.device) -> Detector:
    """A detector with its paper's options, whose running statistics are those of the first batch."""
    torch.manual_seed(0)
    model = create_detector(name).to(device).train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        model(*(part.to(device) for part in inputs[0] if part is not None))
    return model.eval()


class Compiled(NamedTuple):
    """Seconds that compiling takes, seconds an image without and with it, and the largest difference of a score."""

    once: float
    eager: float
    seconds: float
    difference: float

    @property
    def worth(self) -> str:
        """The images from which on compiling has gained time."""
        if self.seconds >= self.eager:
            return "never gains"
        return f"gains from {self.once / (self.eager - self.seconds):,.0f} images on"


def compiled(model: Detector, inputs: list[Inputs], device: torch.device, way: Arithmetic) -> Compiled:
    """A network in an arithmetic, compiled and as it is, in turn; scores beside those of eager float32."""
    given = [(image.to(device), d if d is None else d.to(device)) for image, d in inputs]
    with torch.inference_mode(), REFERENCE.active(device):
        exact = score_of(model(*given[0]))
    way.arrange(model)
    run = torch.compile(model, dynamic=False)
    first, d = way.images(given[0][0]), given[0][1]
    took: dict[str, list[float]] = {"eager": [], "compiled": []}
    with torch.inference_mode(), way.active(device):
        once, scores = timed(run, first, d)
        for _ in range(ROUNDS):
            for name, network in (("eager", model), ("compiled", run)):
                took[name].append(timed(network, first, d)[0] / len(first))
    eager, seconds = (statistics.median(took[name]) for name in ("eager", "compiled"))
    return Compiled(once, eager, seconds, float((scores - exact).abs().max()))


def timed(network: Callable[..., Tensor], image: Tensor, d: Tensor | None) -> tuple[float, Tensor]:
    """Seconds that a batch takes, and its scores."""
    began = time.perf_counter()
    scores = score_of(network(image, d))
    return time.perf_counter() - began, scores


def score_of(logits: Tensor) -> Tensor:
    """Scores (B,) of logits (B,2), on the CPU, so that they are waited for."""
    return logits.double().softmax(1)[:, 1].cpu()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cuda = torch.cuda.is_available()
    parser.add_argument("models", nargs="*", default=list_detectors(), metavar="MODEL")
    parser.add_argument("--device", default="cuda" if cuda else "cpu")
    parser.add_argument("--batch", type=int, default=64 if cuda else 8)
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    # Whatever was compiled before would be found again.
    kept = tempfile.TemporaryDirectory()
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = kept.name
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    print(f"{device.type}, batches of {given.batch}, {given.threads} threads, tolerance {TOLERANCE:g}")
    print(f"{'detector':18}{'input':>6}  {'arithmetic':26}{'images/s':>10}{'ratio':>8}{'score diff':>12}")
    for name in given.models:
        size = create_detector(name).spec.input_size
        inputs = made(size, given.batch, given.batches)
        model = build(name, inputs, device)
        trials = try_all(model, inputs, device, ARITHMETICS)
        best = fastest(trials)
        for trial in trials:
            star = "*" if trial is best else " "
            speed, ratio = 1 / trial.seconds, trials[0].seconds / trial.seconds
            print(
                f"{name:18}{size:6}  {trial.arithmetic:25}{star}{speed:10.2f}{ratio:8.2f}{trial.difference:12.1e}",
                flush=True,
            )
        if given.compile:
            found = compiled(model, inputs, device, Arithmetic.parse(best.arithmetic))
            label = f"… compiled in {found.once:.0f} s"
            print(
                f"{name:18}{size:6}  {label:26}{1 / found.seconds:10.2f}{found.eager / found.seconds:8.2f}"
                f"{found.difference:12.1e}  {found.worth}",
                flush=True,
            )


if __name__ == "__main__":
    main()
