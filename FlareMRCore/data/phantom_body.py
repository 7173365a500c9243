"""Everything of the phantom that is not one of the 13 organs, and the person's build."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from FlareMRCore.data.geometry import FloatArray, Triple
from FlareMRCore.data.phantom_shapes import (
    Blob,
    Canvas,
    Field,
    Frame,
    Slices,
    Tube,
    blob_field,
    blob_radius,
)
from FlareMRCore.data.phantom_tissues import tissue_code

CAVITY_POWER = 2.4
SKIN_MM = 2.5
DISC_PERIOD_MM = 33.0
RIB_PERIOD_MM = 28.0


@dataclass(frozen=True, slots=True)
class Build:
    """A person's size and shape, in mm of the anatomy frame.

    The frame's origin lies in the midplane, in the middle of the aorta's depth, between the
    kidneys; x runs to the patient's right, y forward, z up.

    Attributes:
        cavity_radii_mm: half width and half depth of the abdominal cavity.
        fat_mm: thickness of the subcutaneous fat in front.
        wall_mm: thickness of the muscular wall in front.
        dome_mm: how much higher than usual the right and the left diaphragm stand.
        stomach_filling: 1 is medium; scales the stomach's width.
        duct_shift: common displacement of stomach outlet, duodenum and pancreas head.
    """

    seed: int
    cavity_radii_mm: tuple[float, float]
    fat_mm: float
    wall_mm: float
    dome_mm: tuple[float, float]
    stomach_filling: float
    duct_shift: Triple

    def generator(self, part: str) -> np.random.Generator:
        """Random numbers of one part, independent of the other parts and of their order."""
        return np.random.default_rng([self.seed, *part.encode()])


def sample_build(seed: int) -> Build:
    """Build of person `seed`."""
    rng = np.random.default_rng([seed, 1])
    x, y, z = rng.uniform(-1.0, 1.0, 3) * (4.0, 4.0, 8.0)
    return Build(
        seed=seed,
        cavity_radii_mm=(rng.uniform(116, 127), rng.uniform(80, 89)),
        fat_mm=rng.uniform(5.0, 22.0),
        wall_mm=rng.uniform(9.0, 13.0),
        dome_mm=(rng.uniform(-10, 10), rng.uniform(-10, 10)),
        stomach_filling=rng.uniform(0.75, 1.2),
        duct_shift=(float(x), float(y), float(z)),
    )


def sample_frame(seed: int) -> Frame:
    """Rotation, size and elastic deformation of person `seed`."""
    rng = np.random.default_rng([seed, 2])
    turn = Blob((0, 0, 0), (1, 1, 1), (rng.normal(0, 1.5), rng.normal(0, 1.5), rng.normal(0, 3.0)))
    scale = rng.uniform(0.93, 1.07) * rng.uniform(0.97, 1.03, 3)
    directions = rng.normal(size=(3, 3, 3))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    lengths = rng.uniform(110.0, 300.0, (3, 3, 1))
    return Frame(
        matrix=turn.matrix.T / scale[:, None],
        waves=directions * 2 * np.pi / lengths,
        phases=rng.uniform(0, 2 * np.pi, (3, 3)),
        amplitudes_mm=lengths[..., 0] * rng.uniform(0.002, 0.010, (3, 3)),
    )


def paint_body(canvas: Canvas, build: Build) -> None:
    """Paint skin, fat, wall, ribs, spine, muscles, chest and bowel."""
    _paint_shells(canvas, build)
    _paint_chest(canvas, build)
    _paint_muscles(canvas, build)
    _paint_spine(canvas)
    _paint_small_bowel(canvas, build)
    _paint_colon(canvas, build)


def spine_y(z: Field) -> Field:
    """Depth of the middle of the vertebral bodies at height `z`."""
    above: Field = np.maximum(z, 0)
    return np.float32(-30.0) - np.float32(0.0007) * above * above


def cavity_blob(build: Build) -> Blob:
    """The inside of the abdominal wall (infinitely tall)."""
    half_width, half_depth = build.cavity_radii_mm
    return Blob((0.0, 10.0, 0.0), (half_width, half_depth, 1e4), power=CAVITY_POWER)


def cavity_field(points: Field, build: Build) -> Field:
    """About the distance in mm to the wall of the cavity, negative inside."""
    return blob_field(_tapered(points), cavity_blob(build))


def dome_height(points: Field, build: Build) -> Field:
    """Height of the diaphragm above each point's (x, y), in mm."""
    right, left = build.dome_mm
    caps = (
        ((66.0, 4.0), (80.0, 96.0), 132.0 + right),
        ((-64.0, 2.0), (80.0, 94.0), 120.0 + left),
        ((0.0, 18.0), (72.0, 84.0), 104.0),
    )
    height = np.zeros(points.shape[1:], dtype=np.float32)
    for center, radii, top in caps:
        u = (points[0] - np.float32(center[0])) / np.float32(radii[0])
        v = (points[1] - np.float32(center[1])) / np.float32(radii[1])
        cap = np.float32(top) * np.sqrt(np.maximum(1 - u * u - v * v, 0))
        np.maximum(height, cap, out=height)
    return height


def abdomen_field(points: Field, build: Build) -> Field:
    """About the distance in mm to wall and diaphragm, negative in the abdominal cavity."""
    dome = (points[2] - dome_height(points, build)) * np.float32(0.8)
    field: Field = np.maximum(cavity_field(points, build), dome)
    return field


def _tapered(points: Field) -> Field:
    """The points, moved outward where the trunk is narrower."""
    factor = 1 + np.float32(4.5e-6) * np.square(points[2] - 15)
    return np.stack([points[0] * factor, points[1] * factor, points[2]])


def _paint_shells(canvas: Canvas, build: Build) -> None:
    everywhere, points = canvas.everywhere(), canvas.points
    tapered = _tapered(points)
    width, depth = build.cavity_radii_mm
    wall, fat = build.wall_mm, build.fat_mm
    shells = (
        ("skin", 3.0, wall + 0.8 * fat + SKIN_MM, wall + 5 + fat + SKIN_MM),
        ("subcutaneous_fat", 3.0, wall + 0.8 * fat, wall + 5 + fat),
        ("muscle", 4.0, wall, wall + 6),
    )
    for name, center_y, sideways, forward in shells:
        shell = Blob((0, center_y, 0), (width + sideways, depth + forward, 1e4), power=CAVITY_POWER)
        canvas.paint(everywhere, blob_radius(tapered, shell) < 1, tissue_code(name))
    cavity = cavity_field(points, build)
    _paint_ribs(canvas, cavity, wall)
    canvas.paint(everywhere, cavity < 0, tissue_code("visceral_fat"))


def _paint_ribs(canvas: Canvas, cavity: Field, wall_mm: float) -> None:
    x, y, z = canvas.points
    slope = z + np.float32(0.4) * y
    phase = np.abs(np.mod(slope / np.float32(RIB_PERIOD_MM), 1) - np.float32(0.5))
    depth = np.abs(cavity - np.float32(0.5 * wall_mm))
    chest = (slope > 5) & (np.abs(x) > 24) & (canvas.tissues == tissue_code("muscle"))
    canvas.paint(
        canvas.everywhere(), chest & (phase < 0.22) & (depth < 4.5), tissue_code("cortical_bone")
    )
    canvas.paint(
        canvas.everywhere(), chest & (phase < 0.15) & (depth < 3), tissue_code("bone_marrow")
    )


def _paint_chest(canvas: Canvas, build: Build) -> None:
    region = canvas.region(np.array([-200.0, -150, -30]), np.array([200.0, 150, 400]))
    points = canvas.at(region)
    inside = cavity_field(points, build) < 0
    above = points[2] - dome_height(points, build)
    lowest = points[2] > 15
    canvas.paint(region, inside & lowest & (above > -3), tissue_code("muscle"))
    lung = inside & lowest & (above > 0)
    canvas.paint(region, lung, tissue_code("lung"))
    mediastinum = Blob((-4, -8, 0), (32, 46, 1e4))
    canvas.paint(region, lung & (blob_field(points, mediastinum) < 0), tissue_code("visceral_fat"))
    heart = Blob((-26, 36, 158), (56, 44, 48), (0, 20, 0))
    canvas.paint(region, lung & (blob_field(points, heart) < 0), tissue_code("heart"))


def _paint_muscles(canvas: Canvas, build: Build) -> None:
    thick = build.generator("muscle").uniform(0.85, 1.15)
    for side in (-1.0, 1.0):
        shapes = (
            Tube(
                ((side * 25, -34, 45), (side * 37, -32, -30), (side * 46, -26, -120)),
                (5 * thick, 15 * thick, 20 * thick),
            ),
            Tube(((side * 62, -64, 20), (side * 76, -58, -120)), (8 * thick, 13 * thick)),
            Tube(((side * 9 - 7, -16, 105), (side * 13 - 2, -14, 5)), (4, 3)),
        )
        for shape in shapes:
            region, field = canvas.tube(shape)
            canvas.paint(region, (field < 0), tissue_code("muscle"))
        erector = Blob((side * 33, -78, 0), (26 * thick, 16 * thick, 1e4), power=2.6)
        region, field = _column(canvas, erector)
        canvas.paint(region, (field < 0), tissue_code("muscle"))


def _column(canvas: Canvas, blob: Blob) -> tuple[Slices, Field]:
    """Region and field of a tall blob that follows the curve of the spine."""
    low = np.array([blob.center[0] - 60, -140.0, -500])
    region = canvas.region(low, np.array([blob.center[0] + 60, 20.0, 500]))
    return region, blob_field(_straightened(canvas.at(region)), blob)


def _straightened(points: Field) -> Field:
    return np.stack([points[0], points[1] - spine_y(points[2]) - 30, points[2]])


def _paint_spine(canvas: Canvas) -> None:
    region, body = _column(canvas, Blob((0, -30, 0), (22, 15, 1e4), power=2.3))
    x, y, z = _straightened(canvas.at(region))
    level = np.abs(np.mod(z / np.float32(DISC_PERIOD_MM), 1) - np.float32(0.5))
    canal = np.sqrt(np.square(x) + np.square(y + 54))
    spinous = (np.abs(x) < 4) & (y < -62) & (y > -90) & (level < 0.35)
    transverse = (np.abs(x) < 36) & (np.abs(y + 52) < 5) & (level < 0.15)
    arch = (canal < 13) & (level < 0.4)
    canvas.paint(region, spinous | transverse | arch, tissue_code("cortical_bone"))
    canvas.paint(region, (body < 0), tissue_code("cortical_bone"))
    canvas.paint(region, (body < -1.8) & (level < 0.38), tissue_code("bone_marrow"))
    canvas.paint(region, (body < 0) & (level > 0.4), tissue_code("disc"))
    canvas.paint(region, spinous & (np.abs(x) < 2.5) | (arch & (canal > 11)), tissue_code("bone_marrow"))
    canvas.paint(region, canal < 9, tissue_code("cerebrospinal_fluid"))
    canvas.paint(region, canal < 5, tissue_code("spinal_cord"))


def _paint_small_bowel(canvas: Canvas, build: Build) -> None:
    rng = build.generator("bowel")
    low, high = np.array([-130.0, -20, -300]), np.array([130.0, 110, 30])
    region = canvas.region(low, high)
    points = canvas.at(region)
    shift = rng.uniform(0, 2 * np.pi, 3).astype(np.float32)
    a, b, c = (
        points[n] * np.float32(2 * np.pi / rng.uniform(42, 56)) + shift[n] for n in range(3)
    )
    loops = np.sin(a) * np.cos(b) + np.sin(b) * np.cos(c) + np.sin(c) * np.cos(a)
    top = np.float32(rng.uniform(-10, 12)) - np.abs(points[0]) * np.float32(0.1)
    room = (cavity_field(points, build) < -6) & (points[2] < top) & (points[1] > -2)
    canvas.paint(region, room & (np.abs(loops) > 0.35), tissue_code("bowel_wall"))
    canvas.paint(region, room & (np.abs(loops) > 0.62), tissue_code("bowel_content"))


def _paint_colon(canvas: Canvas, build: Build) -> None:
    rng = build.generator("colon")
    width = build.cavity_radii_mm[0] - 24
    low = rng.uniform(-20, 10)
    points: tuple[Triple, ...] = (
        (width - 6, 0, -130),
        (width - 4, 2, -45),
        (width - 10, 40, -32),
        (42, 72, low - 40),
        (0, 80, low - 45),
        (-50, 66, low - 20),
        (-width + 2, 24, 18),
        (-width - 2, -18, 10),
        (-width - 2, -24, -130),
    )
    radius = rng.uniform(13, 18)
    region, field = canvas.tube(Tube(points, (radius,) * 7 + (radius * 0.8,) * 2))
    y = canvas.at(region)[1]
    field += np.sin(canvas.at(region).sum(axis=0) * np.float32(2 * np.pi / 38)) * 2
    inside = cavity_field(canvas.at(region), build) < -1
    canvas.paint(region, inside & (field < 0), tissue_code("bowel_wall"))
    canvas.paint(region, inside & (field < -2.5), tissue_code("bowel_content"))
    gas = y > np.float32(rng.uniform(50, 80))
    canvas.paint(region, inside & (field < -3.5) & gas, tissue_code("bowel_gas"))


def moved(points: FloatArray, shift: Triple) -> tuple[Triple, ...]:
    """The points (n, 3), each moved by `shift`."""
    result = np.asarray(points, dtype=np.float64) + np.asarray(shift)
    return tuple((float(x), float(y), float(z)) for x, y, z in result)
