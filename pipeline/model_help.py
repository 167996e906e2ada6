"""What `ffpipe models` prints: the list of detectors, and all that there is to know of one before it is trained."""

from __future__ import annotations

import functools
import textwrap
from dataclasses import dataclass
from typing import Any

from ffpipe.models import create_detector, detector_info, list_detectors
from ffpipe.models.detector import DetectorSpec, OptionInfo
from ffpipe.pipeline.recipe_book import recipes_of
from ffpipe.pipeline.recipe_text import describe

#: Widest line, in characters: longer ones are hard to read, however wide the window.
MOST_COLUMNS = 120
_LABEL = 14  # characters of the left column


@dataclass(frozen=True, slots=True)
class Size:
    """Parameters of a detector with its default options, and how many of them train."""

    parameters: int
    trained: int


@functools.cache
def size_of(name: str) -> Size:
    """Counted on the network itself, built once: those that compute constants cannot be built without memory."""
    model = create_detector(name)
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return Size(sum(count for count, _ in counts), sum(count for count, trains in counts if trains))


def list_text(columns: int) -> str:
    """A detector a line: name, side of the input, what it is."""
    specs = [detector_info(name) for name in list_detectors()]
    label = max(len(spec.name) for spec in specs) + 2
    lines = [_row(spec.name, f"{spec.input_size:>4} px  {spec.summary}", columns, label, 9) for spec in specs]
    return "\n".join([*lines, "", "ffpipe models NAME describes one"])


def list_json() -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {"name": spec.name, "summary": spec.summary, "paper": spec.paper, "input_size": spec.input_size}
        for spec in map(detector_info, list_detectors())
    ]


def model_text(name: str, columns: int) -> str:
    """One detector: paper, sizes, options and recipes, in lines of at most `columns` characters."""
    spec = detector_info(name)
    parts = [_text(f"{name}: {spec.summary}", columns), *(_row(*row, columns) for row in _facts(spec))]
    parts += ["", "Options, as --set model.KEY=VALUE:"]
    for key, option in spec.options.items():
        parts.append(_row(key, f"{_allowed(option)} [default: {option.default}]", columns))
        parts.append(_row("", option.help, columns))
    for recipe in recipes_of(name):
        parts += ["", _text(f"Recipe {recipe.name} (--recipe {recipe.name}): {recipe.summary}", columns)]
        described = describe(recipe, spec.input_size)
        parts += [_row(topic, text, columns) for topic, text in described.items()]
    return "\n".join(parts)


def model_json(name: str) -> dict[str, Any]:
    """The same for programs."""
    spec, size = detector_info(name), size_of(name)
    return {
        "name": spec.name,
        "summary": spec.summary,
        "paper": spec.paper,
        "input_size": spec.input_size,
        "needs_sida": spec.needs_sida,
        "parameters": size.parameters,
        "parameters_trained": size.trained,
        "pretrained": list(spec.pretrained),
        "gradcam_layers": list(spec.gradcam_layers),
        "prefusion": spec.prefusion and list(spec.prefusion),
        "fused": spec.fused,
        "options": {
            key: {"default": option.default, "allowed": _values(option), "help": option.help}
            for key, option in spec.options.items()
        },
        "recipes": {recipe.name: recipe.to_json() for recipe in recipes_of(name)},
    }


def _facts(spec: DetectorSpec) -> list[tuple[str, str]]:
    size = size_of(spec.name)
    reads = " and the face's DCT statistics (SIDA)" if spec.needs_sida else ""
    trained = "all" if size.trained == size.parameters else f"{size.trained:,}"
    weights = f"{', '.join(spec.pretrained)}, or a safetensors FILE" if spec.pretrained else "none"
    maps = "none, so that it cannot be distilled"
    if spec.prefusion:
        fused = f", fused by {spec.fused}" if spec.fused else ""
        maps = f"{' and '.join(spec.prefusion)}{fused}; distillation compares them"
    return [
        ("paper", spec.paper),
        ("input", f"{spec.input_size} x {spec.input_size} RGB{reads}"),
        ("parameters", f"{size.parameters:,}, {trained} trained"),
        ("pretrained", weights),
        ("Grad-CAM", ", ".join(spec.gradcam_layers) or "none"),
        ("maps", maps),
    ]


def _allowed(option: OptionInfo) -> str:
    if isinstance(option.allowed, range):
        step = f" in steps of {option.allowed.step}" if option.allowed.step > 1 else ""
        return f"{option.allowed[0]} to {option.allowed[-1]}{step}"
    return " | ".join(option.allowed)


def _values(option: OptionInfo) -> list[str] | dict[str, int]:
    if isinstance(option.allowed, range):
        return {"from": option.allowed[0], "to": option.allowed[-1], "step": option.allowed.step}
    return list(option.allowed)


def _row(label: str, text: str, columns: int, width: int = _LABEL, hang: int = 0) -> str:
    """A label and its text, wrapped beside it; `hang` indents the text's further lines."""
    lines = textwrap.wrap(
        text,
        max(20, min(columns, MOST_COLUMNS) - width - 2),
        subsequent_indent=" " * hang,
        break_on_hyphens=False,
    )
    heads = [f"  {label:{width}}"] + [" " * (width + 2)] * (len(lines) - 1)
    return "\n".join(f"{head}{line}" for head, line in zip(heads, lines, strict=True))


def _text(text: str, columns: int) -> str:
    return textwrap.fill(text, min(columns, MOST_COLUMNS), break_on_hyphens=False)
