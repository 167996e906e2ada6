"""Training curves as TensorBoard event files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from ffpipe.pipeline.training_loop import Observer, Progress


class EventFiles(Observer):
    """Writes the loss and rate of every step, and the figures of every epoch, to a folder of event files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None

    def begin(self, first_step: int) -> None:
        """Open the files; what a killed run wrote past `first_step` is hidden from the curves."""
        self._writer = SummaryWriter(str(self._folder), purge_step=first_step + 1)

    def step(self, progress: Progress, total_step: int) -> None:
        """Loss, its parts, and rate."""
        if self._writer:
            self._writer.add_scalar("train/loss", progress.loss, total_step)
            for name, value in progress.parts.items():
                self._writer.add_scalar(f"train/{name}", value, total_step)
            self._writer.add_scalar("train/faces_per_second", progress.rate, total_step)

    def epoch(self, entry: dict[str, Any], total_step: int) -> None:
        """Every figure of the epoch that is a number."""
        if self._writer:
            for name, value in entry.items():
                if isinstance(value, int | float) and name != "epoch":
                    self._writer.add_scalar(f"epoch/{name}", value, total_step)
            self._writer.flush()

    def end(self) -> None:
        """Close the files."""
        if self._writer:
            self._writer.close()
            self._writer = None
