"""Pure torch: spectral operators, backbones, the detectors, losses and checkpoints."""

if __name__ != "ffpipe.models":
    raise ImportError(f"import ffpipe.models, not {__name__}: the folder is part of the ffpipe package")
