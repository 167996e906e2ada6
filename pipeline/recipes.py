"""What a training recipe is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ffpipe.models.detector import OptionValue
from ffpipe.pipeline.optimiser_names import OptimiserName, ScheduleName
from ffpipe.stages.augment import Augmentation


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a detector is trained.

    pretrained: None for random weights, else what `create_detector` takes. options: of the detector. batch_size:
    faces a step; accumulate: steps an update. momentum: SGD's. patience: epochs without a better validation AUC
    after which training stops; None never stops. balance: draw the rarer class several times, so that both weigh
    about the same. left_out: forgery methods that the protocol does not train on.
    """

    name: str
    summary: str
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    frames_per_video: int
    optimiser: OptimiserName = "adam"
    momentum: float = 0.0
    schedule: ScheduleName = "constant"
    accumulate: int = 1
    pretrained: str | None = None
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    augmentation: Augmentation = Augmentation(horizontal_flip=0.5)
    balance: bool = True
    left_out: tuple[str, ...] = ()
    patience: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Every setting, ready for JSON."""
        return {
            **asdict(self),
            "options": dict(self.options),
            "augmentation": self.augmentation.to_json(),
            "left_out": list(self.left_out),
        }
