"""`python -m ffpipe` is the command line."""

from ffpipe.pipeline.cli import main

main()
