"""ffpipe: a video face-forensics pipeline."""

__version__ = "0.1.0"
