"""A training step of the quick recipe on the CPU: float32 beside bfloat16, and convolutions in channels-last order.

Sides take steps in turn, so that other work on the machine weighs on all of them alike; the table shows the median
CPU and wall time of a face, and its ratio to float32. Faces are random; one thread unless --threads says otherwise.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ffpipe.models import create_detector
from ffpipe.pipeline.recipe_book import RECIPES

Times = list[tuple[float, float]]


def make_step(
    model: nn.Module, image: Tensor, sida: Tensor, label: Tensor, bfloat16: bool
) -> Callable[[], None]:
    """One step of training: forward, backward, update."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            logits = model(image, sida)
        functional.cross_entropy(logits.float(), label).backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def channels_last(model: nn.Module) -> nn.Module:
    """The two-dimensional convolutions' weights in channels-last order, which their outputs then follow."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    return model


def measure(step: Callable[[], None], faces: int) -> tuple[float, float]:
    """CPU and wall seconds a face of one step."""
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    return (time.process_time() - cpu) / faces, (time.perf_counter() - wall) / faces


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = RECIPES["sfcl-hcmf"][1]
    faces, size = recipe.batch_size, int(recipe.options["input_size"])
    torch.manual_seed(0)
    model = create_detector("sfcl-hcmf", None, **recipe.options).train()
    image, sida, label = torch.rand(faces, 3, size, size), torch.rand(faces, 2304), torch.arange(faces) % 2
    ordered = image.contiguous(memory_format=torch.channels_last)
    steps = {
        "float32": make_step(copy.deepcopy(model), image, sida, label, False),
        "float32, channels last": make_step(channels_last(copy.deepcopy(model)), ordered, sida, label, False),
        "bfloat16": make_step(copy.deepcopy(model), image, sida, label, True),
        "bfloat16, channels last": make_step(channels_last(copy.deepcopy(model)), ordered, sida, label, True),
    }
    times: dict[str, Times] = {name: [] for name in steps}
    for _ in range(1 + options.rounds):
        for name, step in steps.items():
            times[name].append(measure(step, faces))
    print(f"{'':26}{'CPU ms/face':>12}{'wall ms/face':>13}{'ratio':>7}{'steps/s':>9}")
    base = statistics.median(cpu for cpu, _ in times["float32"][1:])
    for name, found in times.items():
        cpu, wall = (statistics.median(column) for column in zip(*found[1:], strict=True))
        print(f"{name:26}{1e3 * cpu:12.1f}{1e3 * wall:13.1f}{cpu / base:7.2f}{1 / (wall * faces):9.2f}")


if __name__ == "__main__":
    main()
