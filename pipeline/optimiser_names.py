"""Names of optimisers and schedules, apart from torch, so that the command line knows them without loading it."""

from __future__ import annotations

from typing import Literal

OptimiserName = Literal["adam", "adamw", "sgd"]
ScheduleName = Literal["constant", "cosine"]
