"""Copies of a dataset's clips at other rate factors: what to make, making it, and the tree that holds it."""
