"""What goes wrong with weights: two exceptions, picklable, with one line of text for people."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A model directory is damaged, incomplete, or does not fit the model that it should be loaded into."""


class PretrainedError(ValueError):
    """Pretrained weights cannot be had, or do not fit the backbone that asked for them."""
