"""Everything of the phantom that is not one of the 13 organs, and the person's build."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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

CAVITY_POWER = 2.5
SKIN_MM = 2.5
DISC_PERIOD_MM = 33.0
RIB_PERIOD_MM = 28.0
EVERYWHERE: Slices = (slice(None), slice(None), slice(None))


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
        stomach_filling=rng.uniform(0.75, 1.25),
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


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A canvas and what most shapes on it are bounded by.

    Attributes:
        wall: about the distance in mm to the wall of the trunk's cavity, negative inside.
        above_dome: height in mm above the diaphragm, negative below.
    """

    canvas: Canvas
    build: Build
    wall: Field
    above_dome: Field

    def abdomen(self, region: Slices) -> Field:
        """About the distance in mm to wall and diaphragm, negative in the abdominal cavity."""
        field: Field = np.maximum(self.wall[region], self.above_dome[region] * np.float32(0.8))
        return field

    def fill(self, region: Slices, mask: NDArray[np.bool_], tissue_id: str) -> None:
        """Give the voxels of `mask`, an array of the region's shape, a tissue."""
        self.canvas.paint(region, mask, tissue_code(tissue_id))

    def holds(self, region: Slices, tissue_id: str) -> NDArray[np.bool_]:
        """Where in the region a tissue is."""
        found: NDArray[np.bool_] = self.canvas.tissues[region] == tissue_code(tissue_id)
        return found


def make_scene(canvas: Canvas, build: Build) -> Scene:
    """An empty scene of a person."""
    tapered = _tapered(canvas.points)
    half_width, half_depth = build.cavity_radii_mm
    inside = Blob((0.0, 10.0, 0.0), (half_width, half_depth, np.inf), power=CAVITY_POWER)
    above = canvas.points[2] - dome_height(canvas.points, build)
    return Scene(canvas, build, blob_field(tapered, inside), above)


def paint_body(scene: Scene) -> None:
    """Paint skin, fat, wall, ribs, spine, muscles, chest and bowel."""
    _paint_shells(scene)
    _paint_ribs(scene)
    scene.fill(EVERYWHERE, scene.wall < 0, "visceral_fat")
    _paint_chest(scene)
    _paint_muscles(scene)
    _paint_spine(scene)
    _paint_small_bowel(scene)
    _paint_colon(scene)


def spine_y(z: Field) -> Field:
    """Depth of the middle of the vertebral bodies at height `z`."""
    above: Field = np.maximum(z, 0)
    return np.float32(-30.0) - np.float32(0.0007) * above * above


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


def _tapered(points: Field) -> Field:
    """The points, moved outward where the trunk is narrower."""
    factor = 1 + np.float32(4.5e-6) * np.square(points[2] - 15)
    return np.stack([points[0] * factor, points[1] * factor, points[2]])


def _paint_shells(scene: Scene) -> None:
    build, tapered = scene.build, _tapered(scene.canvas.points)
    width, depth = build.cavity_radii_mm
    wall, fat = build.wall_mm, build.fat_mm
    shells = (
        ("skin", 3.0, wall + 0.8 * fat + SKIN_MM, wall + 5 + fat + SKIN_MM),
        ("subcutaneous_fat", 3.0, wall + 0.8 * fat, wall + 5 + fat),
        ("muscle", 4.0, wall, wall + 6),
    )
    for name, center_y, sideways, forward in shells:
        radii = (width + sideways, depth + forward, np.inf)
        shell = Blob((0, center_y, 0), radii, power=CAVITY_POWER)
        scene.fill(EVERYWHERE, blob_radius(tapered, shell) < 1, name)


def _paint_ribs(scene: Scene) -> None:
    x, y, z = scene.canvas.points
    slope = z + np.float32(0.4) * y
    phase = np.abs(np.mod(slope / np.float32(RIB_PERIOD_MM), 1) - np.float32(0.5))
    depth = np.abs(scene.wall - np.float32(0.5 * scene.build.wall_mm))
    chest = (slope > 5) & (np.abs(x) > 24) & scene.holds(EVERYWHERE, "muscle")
    scene.fill(EVERYWHERE, chest & (phase < 0.22) & (depth < 4.5), "cortical_bone")
    scene.fill(EVERYWHERE, chest & (phase < 0.15) & (depth < 3), "bone_marrow")


def _paint_chest(scene: Scene) -> None:
    region = scene.canvas.region(np.array([-200.0, -150, -30]), np.array([200.0, 150, 400]))
    points, above = scene.canvas.at(region), scene.above_dome[region]
    inside = (scene.wall[region] < 0) & (points[2] > 15)
    scene.fill(region, inside & (above > -3), "muscle")
    chest = inside & (above > 0)
    scene.fill(region, chest, "lung")
    mediastinum = Blob((-4, -8, 0), (32, 46, np.inf))
    scene.fill(region, chest & (blob_radius(points, mediastinum) < 1), "visceral_fat")
    heart = Blob((-26, 36, 158), (56, 44, 48), (0, 20, 0))
    scene.fill(region, chest & (blob_field(points, heart) < 0), "heart")


def _paint_muscles(scene: Scene) -> None:
    thick = float(scene.build.generator("muscle").uniform(0.85, 1.15))
    for side in (-1.0, 1.0):
        psoas = ((side * 25, -34, 45), (side * 37, -32, -30), (side * 46, -26, -120))
        shapes = (
            Tube(psoas, (5 * thick, 15 * thick, 20 * thick)),
            Tube(((side * 62, -64, 20), (side * 76, -58, -120)), (8 * thick, 13 * thick)),
            Tube(((side * 9 - 7, -16, 105), (side * 13 - 2, -14, 5)), (4, 3)),
        )
        for shape in shapes:
            region, field = scene.canvas.tube(shape)
            scene.fill(region, field < 0, "muscle")
        erector = Blob((side * 33, -78, 0), (26 * thick, 16 * thick, np.inf), power=2.5)
        region, field = _column(scene.canvas, erector)
        scene.fill(region, field < 0, "muscle")


def _column(canvas: Canvas, blob: Blob) -> tuple[Slices, Field]:
    """Region and field of a tall blob that follows the curve of the spine."""
    low = np.array([blob.center[0] - 60, -140.0, -500])
    region = canvas.region(low, np.array([blob.center[0] + 60, 20.0, 500]))
    return region, blob_field(_straightened(canvas.at(region)), blob)


def _straightened(points: Field) -> Field:
    return np.stack([points[0], points[1] - spine_y(points[2]) - 30, points[2]])


def _paint_spine(scene: Scene) -> None:
    region, body = _column(scene.canvas, Blob((0, -30, 0), (22, 15, np.inf), power=2.5))
    x, y, z = _straightened(scene.canvas.at(region))
    level = np.abs(np.mod(z / np.float32(DISC_PERIOD_MM), 1) - np.float32(0.5))
    canal = np.hypot(x, y + 54)
    spinous = (np.abs(x) < 4) & (y < -62) & (y > -90) & (level < 0.35)
    transverse = (np.abs(x) < 36) & (np.abs(y + 52) < 5) & (level < 0.15)
    arch = (canal < 13) & (level < 0.4)
    scene.fill(region, spinous | transverse | arch | (body < 0), "cortical_bone")
    scene.fill(region, (body < -1.8) & (level < 0.38), "bone_marrow")
    scene.fill(region, (body < 0) & (level > 0.4), "disc")
    scene.fill(region, (spinous & (np.abs(x) < 2.5)) | (arch & (canal > 11)), "bone_marrow")
    scene.fill(region, canal < 9, "cerebrospinal_fluid")
    scene.fill(region, canal < 5, "spinal_cord")


def _paint_small_bowel(scene: Scene) -> None:
    """Loops: the two sides of a bent gyroid, which are tubes without end."""
    rng = scene.build.generator("bowel")
    region = scene.canvas.region(np.array([-130.0, -20, -300]), np.array([130.0, 110, 40]))
    points = scene.canvas.at(region)
    wave, bend = (np.float32(2 * np.pi / length) for length in (rng.uniform(42, 54), 105.0))
    bent = points * wave
    for n in range(3):
        phase = np.float32(rng.uniform(0, 2 * np.pi))
        bent[n] += np.float32(1.3) * np.sin(points[(n + 1) % 3] * bend + phase) + phase
    sines, cosines = np.sin(bent), np.cos(bent)
    loops = np.abs((sines * np.roll(cosines, -1, axis=0)).sum(axis=0))
    wavy = np.sin(points[0] * bend) + np.cos(points[1] * bend)
    top = np.float32(rng.uniform(-12, 8)) - np.abs(points[0]) * np.float32(0.1) + 9 * wavy
    room = (scene.wall[region] < -7) & (points[2] < top) & (points[1] > 6 * wavy)
    scene.fill(region, room & (loops > 0.3), "bowel_wall")
    scene.fill(region, room & (loops > 0.55), "bowel_content")


def _paint_colon(scene: Scene) -> None:
    rng = scene.build.generator("colon")
    width = scene.build.cavity_radii_mm[0] - 24
    low = float(rng.uniform(-20, 10))
    course: tuple[Triple, ...] = (
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
    radius = float(rng.uniform(13, 18))
    region, field = scene.canvas.tube(Tube(course, (radius,) * 7 + (radius * 0.8,) * 2))
    points = scene.canvas.at(region)
    field += 2 * np.sin(points.sum(axis=0) * np.float32(2 * np.pi / 38))
    field = np.maximum(field, scene.wall[region] + 2)
    scene.fill(region, field < 0, "bowel_wall")
    scene.fill(region, field < -2.5, "bowel_content")
    gas = points[1] > np.float32(rng.uniform(50, 80))
    scene.fill(region, (field < -3.5) & gas, "bowel_gas")


def moved(points: FloatArray, shift: Triple) -> tuple[Triple, ...]:
    """The points (n, 3), each moved by `shift`."""
    result = np.asarray(points, dtype=np.float64) + np.asarray(shift)
    return tuple((float(x), float(y), float(z)) for x, y, z in result)
