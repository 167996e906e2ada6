"""What is known and how it is stored: records, Arrow schemas, shards with commits, splits, dataset layouts."""

if __name__ != "ffpipe.manifests":
    raise ImportError(f"import ffpipe.manifests, not {__name__}: the folder is part of the ffpipe package")
