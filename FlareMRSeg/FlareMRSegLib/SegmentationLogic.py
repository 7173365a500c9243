"""Segmentation of volume nodes in child processes; see `segmentVolume`."""
