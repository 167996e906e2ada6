"""Grad-CAM: where in a face a detector's evidence for a class lies, as a map and as a picture."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ffpipe.models.detector import LABELS, Detector
from ffpipe.stages.arithmetic import REFERENCE
from ffpipe.stages.infer import Image, Loaded, Vector, to_input
from ffpipe.stages.window import Fit, laid_back

HeatMap = NDArray[np.float32]
Target = Literal["real", "fake"]

#: Its lightness rises with the value, so that it reads in grey and by colour-blind eyes.
_COLOURS = cv2.COLORMAP_INFERNO
#: Share of the colours in an overlay.
_OPACITY = 0.5


def gradcam(
    model: Detector,
    image: Tensor,
    sida: Tensor | None = None,
    layer: str | None = None,
    target: Target = "fake",
) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017, eq 1 and 2) of RGB (B,3,S,S) in [0,1]: float32 maps (B,S,S) in [0,1].

    Of a layer's output A (B,C,h,w) and the logit Y of the target class: alpha_k = mean over h, w of dY/dA_k, and the
    map is ReLU(sum over k of alpha_k A_k), brought to S bilinearly and divided by its maximum; where nothing speaks
    for the target it is zero everywhere. `layer` is a module's dotted name, by default the first of
    `spec.gradcam_layers`. `sida` is D (B,2304) where the spec needs it.

    The model is in eval mode; its weights, their gradients and its hooks stay as they are, and parameters that do
    not train are no hindrance. Raises ValueError for a model in train mode, a layer that does not exist or has no
    map on which the logits depend, and inputs that do not fit; FloatingPointError where the network gives no number.
    """
    if model.training:
        raise ValueError(f"{model.spec.name} is in train mode; call eval() before asking for a heat map")
    name, module = _find(model, layer)
    with torch.inference_mode(False), torch.enable_grad(), REFERENCE.active(image.device):
        # Autograd takes no tensor that was made in inference mode; a copy made here is none.
        given = [None if x is None else x.detach().clone() for x in (image, sida)]
        with _followed(module) as outputs:
            logits = model(*given)
        activation = _one_map(outputs, name, model)
        slope = _slope(logits[:, LABELS.index(target)], activation)
        if slope is None:
            raise ValueError(f"the logits of {model.spec.name} do not depend on the map of {name}")
        alpha = slope.float().mean((2, 3), keepdim=True)  # (B,C,1,1)
        coarse = (alpha * activation.detach().float()).sum(1, keepdim=True).relu()  # (B,1,h,w)
    return _normalised(_resized(coarse, (image.shape[-2], image.shape[-1]))[:, 0])


def explain_face(
    loaded: Loaded,
    crop: Image,
    sida: Vector,
    layer: str | None = None,
    target: Target = "fake",
    fit: Fit = "resize",
) -> HeatMap:
    """`gradcam` of a stored crop, RGB uint8 (H,W,3), and its D (2304,): (H,W) in [0,1], lying on the crop.

    The network sees the pixels that scoring shows it, by the same `fit`; pixels that it does not see are 0. Raises
    what `gradcam` and `to_input` raise.
    """
    model = loaded.model
    device = next(model.parameters()).device
    image = to_input(crop, model.spec.input_size, fit)[None].to(device)
    given = torch.tensor(sida, dtype=torch.float32, device=device)[None] if model.spec.needs_sida else None
    heat = gradcam(model, image, given, layer, target)
    if fit == "crop":
        return laid_back(heat[0].cpu().numpy(), crop.shape[:2])
    onto_crop: HeatMap = _resized(heat[:, None], crop.shape[:2])[0, 0].clamp(0, 1).cpu().numpy()
    return onto_crop


def telling_layer(
    loaded: Loaded, crop: Image, sida: Vector, target: Target = "fake", fit: Fit = "resize"
) -> str:
    """The first layer of `spec.gradcam_layers` whose map of a face is not zero everywhere, else the first of them.

    A detector with several inputs may rest its score on one of them alone; the maps of the others are empty then.
    Raises what `explain_face` raises.
    """
    offered = loaded.model.spec.gradcam_layers
    maps = ((layer, explain_face(loaded, crop, sida, layer, target, fit)) for layer in offered)
    return next((layer for layer, heat in maps if heat.any()), next(iter(offered), ""))


def overlay(crop: Image, heat: HeatMap) -> Image:
    """The crop, RGB uint8 (H,W,3), under its heat map (H,W) in [0,1]: dark where the map is 0, bright where it is 1.

    Raises ValueError where the two differ in size.
    """
    if crop.shape != (*heat.shape, 3) or crop.dtype != np.uint8:
        raise ValueError(
            f"a heat map {heat.shape} lies on a crop uint8 {(*heat.shape, 3)}, not {crop.dtype} {crop.shape}"
        )
    picture: Image = cv2.addWeighted(crop, 1 - _OPACITY, _coloured(to_levels(heat)), _OPACITY, 0)
    return picture


def to_levels(heat: HeatMap) -> NDArray[np.uint8]:
    """A heat map (H,W) in [0,1] as 8-bit grey: 255 where it is 1."""
    levels: NDArray[np.uint8] = np.rint(np.clip(heat, 0, 1) * 255).astype(np.uint8)
    return levels


def colour_key(width: int, height: int) -> Image:
    """The colours of an overlay from 0 at the left to 1 at the right, RGB uint8 (height,width,3), as on mid grey."""
    values = np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))
    return overlay(np.full((height, width, 3), 128, np.uint8), values)


def _coloured(levels: NDArray[np.uint8]) -> Image:
    colours: Image = cv2.cvtColor(cv2.applyColorMap(levels, _COLOURS), cv2.COLOR_BGR2RGB)
    return colours


def _find(model: Detector, layer: str | None) -> tuple[str, nn.Module]:
    offered = model.spec.gradcam_layers
    if layer is None and not offered:
        raise ValueError(f"{model.spec.name} looks at no map of the face, so Grad-CAM has nothing to show")
    name = offered[0] if layer is None else layer
    try:
        return name, model.get_submodule(name)
    except AttributeError:
        raise ValueError(
            f"{model.spec.name} has no layer {name!r}; its maps are: {', '.join(offered) or 'none'}"
        ) from None


@contextlib.contextmanager
def _followed(module: nn.Module) -> Iterator[list[object]]:
    """Collects what a module puts out, each time as the start of the graph from there to the logits."""
    outputs: list[object] = []

    def start_here(_: nn.Module, __: object, output: object) -> object:
        if not isinstance(output, Tensor):
            outputs.append(output)
            return None
        outputs.append(leaf := output.detach().requires_grad_())
        return leaf.clone()  # which may be written to, as a ReLU in place does

    handle = module.register_forward_hook(start_here)
    try:
        yield outputs
    finally:
        handle.remove()


def _one_map(outputs: list[object], name: str, model: Detector) -> Tensor:
    if len(outputs) == 1 and isinstance(outputs[0], Tensor) and outputs[0].ndim == 4:
        return outputs[0]
    found = [tuple(o.shape) if isinstance(o, Tensor) else type(o).__name__ for o in outputs] or "nothing"
    raise ValueError(
        f"Grad-CAM needs a layer that puts out one map (B,C,h,w) a pass; {name} of {model.spec.name} puts out {found}"
    )


def _slope(logit: Tensor, activation: Tensor) -> Tensor | None:
    """dY/dA (B,C,h,w) of Y (B,), each row of which depends on its own face alone; None where it does not on A."""
    if not logit.requires_grad:
        return None
    return torch.autograd.grad(logit.sum(), activation, allow_unused=True)[0]


def _resized(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False)


def _normalised(maps: Tensor) -> Tensor:
    if not maps.isfinite().all():
        raise FloatingPointError("the network gave a heat map that is no number")
    peak = maps.amax((1, 2), keepdim=True)
    return torch.where(peak > 0, maps / peak.where(peak > 0, 1), 0)
