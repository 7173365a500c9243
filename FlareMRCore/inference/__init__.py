"""Weights and a volume in, a label map out (torch)."""
