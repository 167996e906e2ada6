"""Layers in NumPy and SciPy, from their definitions, for checking equations; and modules with values to check."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
import torch
from torch import nn


def randomised(module: nn.Module) -> nn.Module:
    """In eval mode, with every parameter and running statistic away from its default."""
    random = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.2)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(torch.randn(buffer.shape, generator=random) * 0.3)
            elif name.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=random) + 0.5)
    return module.eval()


def n(tensor: torch.Tensor | None) -> np.ndarray:
    """In float64."""
    assert tensor is not None
    return tensor.detach().double().numpy()


def batch_norm(x: np.ndarray, norm: nn.Module) -> np.ndarray:
    """Channels on axis 1."""
    shape = (1, -1, *(1,) * (x.ndim - 2))
    mean, var, weight, bias = (
        n(getattr(norm, key)).reshape(shape) for key in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(var + 1e-5) * weight + bias


def conv1x1(x: np.ndarray, conv: nn.Module) -> np.ndarray:
    """Channels on axis 1."""
    out = np.einsum("oc,bc...->bo...", n(conv.weight).reshape(conv.weight.shape[0], -1), x)
    return out if conv.bias is None else out + n(conv.bias).reshape(1, -1, *(1,) * (x.ndim - 2))


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def conv2d(x: np.ndarray, conv: nn.Module) -> np.ndarray:
    """(B,C,h,w) with zeros around it, stride 1, by SciPy."""
    weight = n(conv.weight)
    assert conv.stride == (1, 1) and conv.padding == tuple(side // 2 for side in weight.shape[2:])
    out = np.stack(
        [
            [
                sum(
                    scipy.ndimage.correlate(c, k, mode="constant")
                    for c, k in zip(image, kernels, strict=True)
                )
                for kernels in weight
            ]
            for image in x
        ]
    )
    return out if conv.bias is None else out + n(conv.bias)[:, None, None]
