"""Memory of a training step at each paper's batch size: measured where there is a GPU, else computed.

Computed means: the tensors that autograd keeps for the backward pass under bfloat16 autocast are counted on the CPU
in batches of 2 and 4, carried on linearly to the paper's batch, and added to weights, gradients and the optimiser's
moments in float32. A student's step includes a teacher of its own size. A GPU's workspaces and fragmentation come on
top. `fits` is the largest batch within 24 GB less a tenth; what is missing to the paper's batch comes from
`--accumulate`.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional

from ffpipe.models import create_detector, list_detectors
from ffpipe.models.detector import Detector
from ffpipe.models.distillation import Distillation
from ffpipe.models.sida import SIDA_SIZE
from ffpipe.pipeline.optimisation import make_optimiser
from ffpipe.pipeline.recipe_book import RECIPES
from ffpipe.pipeline.recipes import Recipe

GIB = 1 << 30
ROOM = 24e9 * 0.9
MOMENTS = {"adam": 2, "adamw": 2, "sgd": 1}


def inputs(model: Detector, batch: int, device: str) -> tuple[Tensor, Tensor]:
    size = model.spec.input_size
    return torch.rand(batch, 3, size, size, device=device), torch.rand(batch, SIDA_SIZE, device=device)


def teacher_of(model: Detector, recipe: Recipe) -> Distillation | None:
    """The lessons of a detector that is made to be taught, by a random teacher of its own kind and size."""
    if "knowledge" not in model.spec.options:
        return None
    knowledge = model.spec.resolve(recipe.options)["knowledge"]
    teacher = create_detector(model.spec.name.removesuffix("-kd"), None, input_size=model.spec.input_size)
    return Distillation(teacher, model, str(knowledge))


def loss_of(model: Detector, lessons: Distillation | None, image: Tensor, d: Tensor) -> Tensor:
    """The loss of a batch, whose classes alternate; a teacher sees the same faces."""
    label = torch.arange(len(image), device=image.device) % 2
    if lessons is None:
        return functional.cross_entropy(model(image, d).float(), label)
    return lessons.loss(model, image, None, label, image, None).total


def kept_bytes(model: Detector, lessons: Distillation | None, batch: int) -> int:
    """Bytes of what the backward pass of one batch needs, parameters and buffers apart."""
    networks = [model] if lessons is None else [model, lessons.teacher]
    own = {t.untyped_storage().data_ptr() for n in networks for t in (*n.parameters(), *n.buffers())}
    seen: dict[int, tuple[Tensor, int]] = {}  # held, so that no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = (tensor, storage.nbytes())
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(model, lessons, *inputs(model, batch, "cpu"))
    total = sum(size for _, size in seen.values())
    del loss
    return total


def fixed_bytes(model: Detector, lessons: Distillation | None, recipe: Recipe) -> int:
    """Weights, the teacher's too, and gradients and moments of those that train, in float32."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    weights = sum(p.numel() for p in model.parameters())
    if lessons is not None:
        weights += sum(p.numel() for p in lessons.teacher.parameters())
    return 4 * (weights + trained * (1 + MOMENTS[recipe.optimiser]))


def measured(model: Detector, lessons: Distillation | None, recipe: Recipe) -> int:
    """Highest memory that a step on the GPU allocated."""
    model = model.cuda().train()
    if lessons is not None:
        lessons.teacher.cuda()
    optimiser = make_optimiser(recipe.optimiser, model.parameters(), 1e-4, 0.0, recipe.momentum)
    image, d = inputs(model, recipe.batch_size, "cuda")
    torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        with torch.autocast("cuda", torch.bfloat16):
            loss = loss_of(model, lessons, image, d)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return torch.cuda.max_memory_allocated()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=list_detectors(), metavar="MODEL")
    given = parser.parse_args()
    print(
        f"{'detector':18}{'batch':>6}{'fixed GiB':>11}{'GiB/image':>11}{'total GiB':>11}{'fits':>7}{'GPU GiB':>9}"
    )
    for name in given.models:
        recipe = RECIPES[name][0]
        model = create_detector(name, None, **recipe.options).train()
        lessons = teacher_of(model, recipe)
        fixed = fixed_bytes(model, lessons, recipe)
        two, four = (kept_bytes(model, lessons, batch) for batch in (2, 4))
        each = (four - two) / 2
        total = fixed + two + (recipe.batch_size - 2) * each
        fits = int(2 + (ROOM - fixed - two) / each) if each else recipe.batch_size
        found = f"{measured(model, lessons, recipe) / GIB:9.2f}" if torch.cuda.is_available() else "        -"
        print(
            f"{name:18}{recipe.batch_size:6}{fixed / GIB:11.2f}{each / GIB:11.3f}{total / GIB:11.2f}{fits:7}{found}",
            flush=True,
        )


if __name__ == "__main__":
    main()
