"""Area of the surface in each cell between eight voxel centers, by marching cubes.

A cell is named by an 8-bit code: the bit of corner (k, j, i) is 2**(7 - 4k - 2j - i) and set where
the corner belongs to the mask. Codes 0 and 255 have no surface.

The surface runs through the middles of the cell edges between a set and an unset corner. Two rules
settle what geometry leaves open, and make the areas those of DeepMind's surface-distance 0.1,
which defines the surface Dice of the FLARE challenges:

* Where a face has two set corners on its diagonal, the rarer kind of corner is cut off singly
  (four against four: both ways give the same area).
* A polygon that is not flat is split into triangles such that its area is largest; a hexagon
  always by the triangle of every second corner.

Source: Lorensen and Cline, Computer Graphics 21 (1987) 163-169; Nikolov et al., J Med Internet Res
23 (2021) e26151. The areas are derived here from the geometry.
"""

import math
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import Shape, Triple

FloatArray = NDArray[np.float64]
CODES = 256
_CORNERS: tuple[Shape, ...] = tuple((n >> 2 & 1, n >> 1 & 1, n & 1) for n in range(8))


def element_areas_mm2(spacing_mm: Triple) -> FloatArray:
    """Surface area of every code, shape (256,), for voxels of `spacing_mm` (K, J, I)."""
    normals, codes = _normals()
    k, j, i = spacing_mm
    sizes = np.linalg.norm(normals * (j * i, k * i, k * j), axis=1)
    areas: FloatArray = np.bincount(codes, weights=sizes, minlength=CODES).astype(np.float64)
    return areas


@cache
def _normals() -> tuple[FloatArray, NDArray[np.intp]]:
    """Normals of all triangles at unit spacing, as long as the triangles are large; their codes."""
    normals: list[Triple] = []
    codes: list[int] = []
    for code in range(1, CODES - 1):
        for polygon in _polygons(code):
            triangles = _triangle_normals(polygon)
            normals += triangles
            codes += [code] * len(triangles)
    return np.array(normals), np.array(codes)


def _polygons(code: int) -> Iterator[list[Triple]]:
    """Closed polygons of the surface in a cell, as lists of their vertices."""
    links: dict[Triple, list[Triple]] = {}
    for first, second in _segments(code):
        links.setdefault(first, []).append(second)
        links.setdefault(second, []).append(first)
    while links:
        vertex = next(iter(links))
        polygon: list[Triple] = []
        while vertex in links:
            polygon.append(vertex)
            neighbors = links.pop(vertex)
            vertex = next((n for n in neighbors if n in links), polygon[0])
        yield polygon


def _segments(code: int) -> Iterator[tuple[Triple, Triple]]:
    """Lines along which the surface meets the faces of the cell."""
    is_set = {corner: bool(code >> (7 - n) & 1) for n, corner in enumerate(_CORNERS)}
    rarer = code.bit_count() <= 4
    for face in _faces():
        middles = [_middle(face[n], face[(n + 1) % 4]) for n in range(4)]
        cut = [n for n in range(4) if is_set[face[n]] != is_set[face[(n + 1) % 4]]]
        if len(cut) == 2:
            yield middles[cut[0]], middles[cut[1]]
        elif len(cut) == 4:
            for n in range(4):
                if is_set[face[n]] == rarer:
                    yield middles[n - 1], middles[n]


def _faces() -> Iterator[list[Shape]]:
    """The corners of each of the six faces, in order around the face."""
    for axis in range(3):
        for side in (0, 1):
            ring = ((0, 0), (0, 1), (1, 1), (1, 0))
            around = [(*pair[:axis], side, *pair[axis:]) for pair in ring]
            yield [(corner[0], corner[1], corner[2]) for corner in around]


def _middle(first: Shape, second: Shape) -> Triple:
    k, j, i = ((a + b) / 2 for a, b in zip(first, second, strict=True))
    return k, j, i


def _triangle_normals(polygon: list[Triple]) -> list[Triple]:
    """Normals of the triangles of a polygon with 3 to 6 vertices; length = area."""
    if len(polygon) == 6:
        a, b, c, d, e, f = polygon
        return [_normal(a, c, e), _normal(a, b, c), _normal(c, d, e), _normal(e, f, a)]
    fans = [_fan(polygon[n:] + polygon[:n]) for n in range(len(polygon))]
    return max(fans, key=lambda fan: sum(math.hypot(*normal) for normal in fan))


def _fan(polygon: list[Triple]) -> list[Triple]:
    """Normals of the triangles between the first vertex and each edge opposite to it."""
    return [_normal(polygon[0], *edge) for edge in pairwise(polygon[1:])]


def _normal(first: Triple, second: Triple, third: Triple) -> Triple:
    ak, aj, ai = (b - a for a, b in zip(first, second, strict=True))
    bk, bj, bi = (b - a for a, b in zip(first, third, strict=True))
    return (aj * bi - ai * bj) / 2, (ai * bk - ak * bi) / 2, (ak * bj - aj * bk) / 2
