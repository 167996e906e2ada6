"""Whether a report still holds: its files, its inputs and weights, and every score computed once more."""
