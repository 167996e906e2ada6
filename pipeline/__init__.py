"""Composes stages into jobs: engines, configuration, workspace, provenance and the command line."""

if __name__ != "ffpipe.pipeline":
    raise ImportError(f"import ffpipe.pipeline, not {__name__}: the folder is part of the ffpipe package")
