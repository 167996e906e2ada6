"""Video decoders."""
