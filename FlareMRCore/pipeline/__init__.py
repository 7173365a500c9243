"""Composition of the layers below: cases, batches, recipes."""
