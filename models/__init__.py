"""Pure torch: spectral operators, backbones, the detectors, losses and checkpoints."""

if __name__ != "ffpipe.models":
    raise ImportError(f"import ffpipe.models, not {__name__}: the folder is part of the ffpipe package")

from ffpipe.models import f3net as f3net  # each registers its detectors
from ffpipe.models import faclue as faclue
from ffpipe.models import fssnet as fssnet
from ffpipe.models import meso4 as meso4
from ffpipe.models import plain as plain
from ffpipe.models import sfcl_hcmf as sfcl_hcmf
from ffpipe.models import sffb as sffb
from ffpipe.models import sida_linear as sida_linear
from ffpipe.models.registry import create_detector, detector_info, list_detectors

__all__ = ["create_detector", "detector_info", "list_detectors"]
