"""Weights that others trained, taken out of their files by a confined child (which imports little: see `child`)."""
