"""Calibrating a trained detector: scores to likelihood ratios on a fold of its own."""
