"""A dataset and parameters in, weights out (torch)."""
