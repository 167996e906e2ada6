"""Content credentials (C2PA) of a medium, read by a confined child (which imports little: see `child`)."""
