"""MTCNN's three networks as they run fastest on a CPU, with the weights inside facenet-pytorch's wheel.

The same functions of pixels in 0..255 as facenet's modules: its (x - 127.5) / 128 is folded into the first
convolutions, softmax over two logits is the sigmoid of their difference, and parallel heads are one.
"""

from __future__ import annotations

import math

import torch
from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
from torch import Tensor, nn
from torch.nn import functional

State = dict[str, Tensor]

#: Pixels of the image that P-Net works on at a time. Maps of whole levels are mapped and cleared anew by the kernel
#: for each frame, which doubles the time; much smaller strips overlap too much.
_STRIP_PIXELS = 32_000


class Proposer:
    """P-Net: fully convolutional, receptive field 12, stride 2."""

    def __init__(self) -> None:
        self._state = _weights(PNet())
        self._head = _merged_head(self._state, "conv4_1", "conv4_2")

    def __call__(self, image: Tensor, skip: int = 1) -> tuple[Tensor, Tensor]:
        """image (1, 3, H, W) in 0..255 -> probability (h, w), box shifts (4, h, w) with h = ceil((H - 2) / 2) - 4.

        With skip = n only every n-th of the h rows and w columns is computed, for less than half the work at 2.
        """
        _, _, height, width = image.shape
        rows = math.ceil((height - 2) / 2) - 4
        strip = max(1, _STRIP_PIXELS // (2 * width) // skip) * skip
        parts = [
            self._strip(image[:, :, 2 * row : 2 * (row + strip) + 10], skip) for row in range(0, rows, strip)
        ]
        maps = torch.cat(parts, dim=1)
        return torch.sigmoid(maps[0]), maps[1:]

    def _strip(self, image: Tensor, skip: int) -> Tensor:
        """Face logit and box shifts (5, h, w); of one strip."""
        x = _prelu_wide(_convolve(self._state, 1, image), self._state["prelu1.weight"])
        x = _pool_pairs(x)
        x = _prelu_wide(_convolve(self._state, 2, x), self._state["prelu2.weight"])
        x = functional.conv2d(x, self._state["conv3.weight"], self._state["conv3.bias"], stride=skip)
        x = _prelu_wide(x, self._state["prelu3.weight"])
        return functional.conv2d(x, *self._head)[0]


class Refiner:
    """R-Net: judges windows of 24 x 24 pixels."""

    side = 24

    def __init__(self) -> None:
        self._state = _weights(RNet())
        self._head = _merged_head(self._state, "dense5_1", "dense5_2")

    def __call__(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """windows (n, 3, 24, 24) in 0..255 -> probability (n), box shifts (n, 4)."""
        x = _pool(_activated(self._state, 1, windows), 3)
        x = _pool(_activated(self._state, 2, x), 3)
        x = _activated(self._state, 3, x)
        x = functional.linear(_flattened(x), self._state["dense4.weight"], self._state["dense4.bias"])
        x = functional.linear(functional.prelu(x, self._state["prelu4.weight"]), *self._head)
        return torch.sigmoid(x[:, 0]), x[:, 1:]


class Settler:
    """O-Net: judges windows of 48 x 48 pixels and finds five landmarks."""

    side = 48

    def __init__(self) -> None:
        self._state = _weights(ONet())
        self._head = _merged_head(self._state, "dense6_1", "dense6_2", "dense6_3")

    def __call__(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """windows (n, 3, 48, 48) in 0..255 -> probability (n), box shifts (n, 4), landmarks x5 y5 (n, 10)."""
        x = _pool(_activated(self._state, 1, windows), 3)
        x = _pool(_activated(self._state, 2, x), 3)
        x = _pool(_activated(self._state, 3, x), 2)
        x = _activated(self._state, 4, x)
        x = functional.linear(_flattened(x), self._state["dense5.weight"], self._state["dense5.bias"])
        x = functional.linear(functional.prelu(x, self._state["prelu5.weight"]), *self._head)
        return torch.sigmoid(x[:, 0]), x[:, 1:5], x[:, 5:]


def _weights(network: nn.Module) -> State:
    """The parameters of facenet's module, convolutions channels last, the input scaling folded into the first."""
    state: State = {name: value.detach() for name, value in network.state_dict().items()}
    weight = state["conv1.weight"]
    state["conv1.bias"] = state["conv1.bias"] - weight.sum((1, 2, 3)) * (127.5 / 128)
    state["conv1.weight"] = weight / 128
    last = torch.channels_last
    return {name: t.contiguous(memory_format=last) if t.ndim == 4 else t for name, t in state.items()}


def _merged_head(state: State, classes: str, *others: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of one layer that gives the face logit minus the other, then the other heads."""
    parts = []
    for kind in ("weight", "bias"):
        both = state[f"{classes}.{kind}"]
        parts.append(torch.cat([both[1:] - both[:1], *(state[f"{name}.{kind}"] for name in others)]))
    return parts[0], parts[1]


def _convolve(state: State, number: int, x: Tensor) -> Tensor:
    return functional.conv2d(x, state[f"conv{number}.weight"], state[f"conv{number}.bias"])


def _activated(state: State, number: int, x: Tensor) -> Tensor:
    return functional.prelu(_convolve(state, number, x), state[f"prelu{number}.weight"])


def _prelu_wide(x: Tensor, slopes: Tensor) -> Tensor:
    """PReLU of a channels-last map (1, C, H, W) as H long rows: of 10 channels the plain one is not vectorised."""
    _, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(height, width * channels)
    active = functional.prelu(rows, slopes.repeat(width))
    return active.view(1, height, width, channels).permute(0, 3, 1, 2)


def _pool_pairs(x: Tensor) -> Tensor:
    """Max pooling 2 x 2 with a partial window at odd edges, several times faster than the library's on few channels."""
    x = functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), value=-math.inf)
    x = torch.maximum(x[:, :, 0::2], x[:, :, 1::2])
    return torch.maximum(x[..., 0::2], x[..., 1::2])


def _pool(x: Tensor, side: int) -> Tensor:
    return functional.max_pool2d(x, side, 2, ceil_mode=True)


def _flattened(x: Tensor) -> Tensor:
    """(n, C, H, W) -> (n, W * H * C): the networks were trained with the axes in this order."""
    return x.permute(0, 3, 2, 1).flatten(1)
