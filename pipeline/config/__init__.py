"""Settings of each job, declared once: default, unit, range and help; TOML and the command line fill them in."""

from ffpipe.pipeline.config.base import ArithmeticName, EngineName, JobConfig
from ffpipe.pipeline.config.calibration import CalibrateConfig
from ffpipe.pipeline.config.degrade import DegradeConfig
from ffpipe.pipeline.config.explaining import ExplainConfig
from ffpipe.pipeline.config.importing import ImportConfig
from ffpipe.pipeline.config.media import ExtractConfig, FrameSettings, ScoreConfig
from ffpipe.pipeline.config.preview import PreviewConfig
from ffpipe.pipeline.config.reproducing import ReproduceConfig
from ffpipe.pipeline.config.robustness import RobustnessConfig
from ffpipe.pipeline.config.serving import ServeConfig
from ffpipe.pipeline.config.splits import SplitsConfig
from ffpipe.pipeline.config.trained import CompareConfig, EvaluateConfig, ExportConfig
from ffpipe.pipeline.config.training import TrainConfig
from ffpipe.pipeline.config.verify import VerifyConfig
from ffpipe.pipeline.config.watching import WatchConfig

__all__ = [
    "ArithmeticName",
    "CalibrateConfig",
    "CompareConfig",
    "DegradeConfig",
    "EngineName",
    "EvaluateConfig",
    "ExplainConfig",
    "ExportConfig",
    "ExtractConfig",
    "FrameSettings",
    "ImportConfig",
    "JobConfig",
    "PreviewConfig",
    "ReproduceConfig",
    "RobustnessConfig",
    "ScoreConfig",
    "ServeConfig",
    "SplitsConfig",
    "TrainConfig",
    "VerifyConfig",
    "WatchConfig",
]
