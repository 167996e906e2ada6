"""Evaluating trained detectors on stored pictures, and comparing them."""
