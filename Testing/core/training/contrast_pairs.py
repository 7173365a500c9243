"""Two made-up domains: balls that are brighter, or darker, than what surrounds them."""

import numpy as np


def bright_on_dark(seed: int, axes: int, size: int) -> np.ndarray:
    """Values -1 to 1, float32."""
    return np.where(_balls(seed, axes, size), 0.7, -0.8).astype(np.float32)


def dark_on_bright(seed: int, axes: int, size: int) -> np.ndarray:
    """Values -1 to 1, float32."""
    return np.where(_balls(seed, axes, size), -0.4, 0.5).astype(np.float32)


def _balls(seed: int, axes: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grid = np.indices((size,) * axes)
    inside = np.zeros((size,) * axes, dtype=bool)
    for _ in range(3):
        center = rng.uniform(0.2, 0.8, axes).reshape(axes, *(1,) * axes) * size
        inside |= ((grid - center) ** 2).sum(0) < (rng.uniform(0.12, 0.25) * size) ** 2
    return inside
