"""One step of work on one item or batch each, with no Ray in it: from sampling to verdicts."""

if __name__ != "ffpipe.stages":
    raise ImportError(f"import ffpipe.stages, not {__name__}: the folder is part of the ffpipe package")
