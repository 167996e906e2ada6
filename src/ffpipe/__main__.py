"""`python -m ffpipe` is the command line."""

from ffpipe.pipeline.start import main

main()
