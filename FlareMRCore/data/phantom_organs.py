"""The 13 organs of the phantom, shaped and placed after one adult's build."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from FlareMRCore.data.geometry import Triple
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.phantom_body import EVERYWHERE, Build, Scene, moved
from FlareMRCore.data.phantom_shapes import (
    Blob,
    Field,
    Slices,
    Tube,
    blob_field,
    blob_radius,
    local_axes,
    smooth_union,
)
from FlareMRCore.data.phantom_tissues import organ_lookup

Points = tuple[Triple, ...]

GUT_WALL_MM = 3.5

OVERLAPPED = ("liver", "spleen", "stomach")
"""Organs that later ones are painted over, which may cut off splinters."""

SPLINTER_ML = 1.0

LIVER_BEDS = (
    Tube(((-2, -10, 10), (2, -12, 120)), (19.0, 19.0)),
    Tube(((20, -50, 10), (16, -56, 100)), (19.0, 19.0)),
)
"""Fat that the liver leaves free beside the spine, behind vena cava and adrenal gland."""


def paint_organs(scene: Scene) -> None:
    """Paint all organs; where two shapes overlap, the later one wins."""
    _paint_liver(scene)
    _paint_spleen(scene)
    _paint_stomach(scene)
    for side in (1.0, -1.0):
        _paint_kidney(scene, side=side)
    _paint_gallbladder(scene)
    _paint_other_vessels(scene)
    _paint_pancreas(scene)
    _paint_duodenum(scene)
    _paint_great_vessels(scene)
    _paint_esophagus(scene)
    _paint_adrenals(scene)
    for organ in OVERLAPPED:
        _drop_splinters(scene, organ)


def pylorus(build: Build) -> Triple:
    """Where the stomach ends and the duodenum begins."""
    return moved(np.array([(22.0, 42, 10)]), build.duct_shift)[0]


def cardia(build: Build) -> Triple:
    """Where the esophagus ends and the stomach begins."""
    rise = 0.5 * build.dome_mm[1]
    return (-36.0, 8.0, 88.0 + rise)


def _liver_field(scene: Scene, region: Slices) -> Field:
    """About the signed distance in mm to the liver's surface."""
    rng, points = scene.build.generator("liver"), scene.canvas.at(region)
    size, left, tilt = rng.uniform(0.96, 1.08), rng.uniform(0.85, 1.12), rng.uniform(8, 18)
    rise = 0.6 * scene.build.dome_mm[0]
    right_lobe = Blob((70, 0, 52 + rise), (58 * size, 80 * size, 83 * size), (0, -tilt, 0))
    left_lobe = Blob((0, 52, 80 + rise), (70 * left, 34, 32 * left), (0, -10, 8))
    hollow = Blob((2, 18, 4 + rise), (40, 54, 48))
    field = smooth_union(blob_field(points, right_lobe), blob_field(points, left_lobe), 24.0)
    field = np.maximum(field, -blob_field(points, hollow))
    result: Field = np.maximum(field, scene.abdomen(region) + 3)
    return result


def _paint_liver(scene: Scene) -> None:
    region = scene.canvas.region(np.array([-110.0, -100, -80]), np.array([150.0, 120, 160]))
    scene.fill(region, _liver_field(scene, region) < 0, "liver")
    for behind in LIVER_BEDS:
        part, field = scene.canvas.tube(behind)
        scene.fill(part, scene.holds(part, "liver") & (field < 0), "visceral_fat")
    rise = 0.6 * scene.build.dome_mm[0]
    veins: tuple[Points, ...] = (
        ((18, 10, 100 + rise), (45, 0, 95 + rise), (90, -20, 70 + rise)),
        ((18, 12, 100 + rise), (40, 35, 92 + rise), (70, 60, 70 + rise)),
        ((16, 14, 100 + rise), (0, 40, 95 + rise), (-25, 58, 88 + rise)),
        ((40, 24, 58 + rise), (65, 15, 62 + rise), (85, -15, 50 + rise)),
        ((40, 24, 58 + rise), (65, 35, 55 + rise), (92, 45, 40 + rise)),
        ((40, 24, 58 + rise), (15, 45, 78 + rise), (-20, 60, 78 + rise)),
    )
    for points in veins:
        part, field = scene.canvas.tube(Tube(points, (5.5, 4.0, 1.8)))
        liver = scene.holds(part, "liver")
        scene.fill(part, liver & (field < 0), "liver_vein")


def _paint_spleen(scene: Scene) -> None:
    rng = scene.build.generator("spleen")
    size = float(rng.uniform(0.88, 1.15))
    rise = 0.5 * scene.build.dome_mm[1]
    shape = Blob((-90, -38, 64 + rise), (37 * size, 47 * size, 60 * size), (14, 12, -20))
    hollow = Blob((-42, 2, 62 + rise), (40, 40, 52))
    region, field = scene.canvas.blob(shape)
    field = np.maximum(field, -blob_field(scene.canvas.at(region), hollow))
    scene.fill(region, np.maximum(field, scene.abdomen(region) + 3) < 0, "spleen")


def _paint_stomach(scene: Scene) -> None:
    rng = scene.build.generator("stomach")
    x, y, z = cardia(scene.build)
    width, drop = scene.build.stomach_filling, float(rng.uniform(-12, 8))
    course: Points = (
        (-58, -2, z + 2),
        (-66, 12, z - 16),
        (-68, 32, 52),
        (-50, 52, 24 + drop),
        (-18, 56, 6 + drop),
        (8, 50, 4 + 0.5 * drop),
        pylorus(scene.build),
    )
    radii = (28 * width, 31 * width, 29 * width, 26 * width, 20 * width, 14.0, 8.0)
    region, field = scene.canvas.tube(Tube(course, radii))
    _paint_hollow(scene, region, np.maximum(field, scene.abdomen(region) + 3), "stomach")
    gas = scene.canvas.at(region)[1] > np.float32(rng.uniform(48, 75))
    scene.fill(region, gas & scene.holds(region, "stomach_content"), "stomach_gas")
    region, field = scene.canvas.tube(Tube(((x, y, z), (-54, 4, z - 4)), (11, 15)))
    scene.fill(region, (field < 0) & scene.holds(region, "visceral_fat"), "stomach_wall")


def _paint_hollow(scene: Scene, region: Slices, field: Field, organ: str) -> None:
    scene.fill(region, field < 0, f"{organ}_wall")
    scene.fill(region, field < -GUT_WALL_MM, f"{organ}_content")


def _kidney_shape(build: Build, name: str, side: float) -> Blob:
    rng = build.generator(name)
    size, drop = float(rng.uniform(0.9, 1.1)), float(rng.uniform(-9, 7))
    center = (60.0, -36.0, drop - 6.0) if side > 0 else (-66.0, -36.0, drop + 2.0)
    turn = (8.0, -12.0 * side, -28.0 * side)
    return Blob(center, (27 * size, 25 * size, 54 * size), turn)


def _paint_kidney(scene: Scene, *, side: float) -> None:
    """Kidney in its fat; the gland's hollow holds fat too, which is no kidney."""
    name = "right_kidney" if side > 0 else "left_kidney"
    shape = _kidney_shape(scene.build, name, side)
    x, y, z = shape.center
    bed = Blob((x - 5 * side, y - 12, z + 4), (38, 37, 66), shape.rotation_deg)
    region, field = scene.canvas.blob(bed)
    soft = scene.holds(region, "liver") | scene.holds(region, "spleen")
    scene.fill(region, (field < 0) & (soft | scene.holds(region, "liver_vein")), "visceral_fat")
    region, field = scene.canvas.blob(shape)
    points = scene.canvas.at(region)
    own, radius = local_axes(points, shape), blob_radius(points, shape)
    sinus = blob_field(own, Blob((-side * 22.0, 0.0, 0.0), (18.0, 14.0, 23.0))) < 0
    scene.fill(region, (field < 0) & sinus, "visceral_fat")
    body = (field < 0) & ~sinus
    scene.fill(region, body, f"{name}_cortex")
    pyramids = np.cos(7 * np.arctan2(own[2], own[0] + np.float32(side * 8))) > -0.3
    medulla = body & pyramids & (radius > 0.3) & (radius < 0.76)
    scene.fill(region, medulla, f"{name}_medulla")


def _paint_gallbladder(scene: Scene) -> None:
    build = scene.build
    rng = build.generator("gallbladder")
    size = rng.uniform(0.75, 1.2)
    dx, dy, _ = build.duct_shift
    shift = (dx + float(rng.uniform(-3, 5)), dy, 0.6 * build.dome_mm[0])
    points = moved(np.array([(44.0, 36, 44), (56, 46, 26), (68, 58, 8)]), shift)
    region, field = scene.canvas.tube(Tube(points, (6 * size, 13 * size, 14 * size)))
    scene.fill(region, field < 0, "gallbladder")


def _paint_pancreas(scene: Scene) -> None:
    build = scene.build
    rng = build.generator("pancreas")
    size, dx = rng.uniform(0.85, 1.15), build.duct_shift[0]
    head = moved(np.array([(30.0, 24, -14), (26, 26, 2), (8, 33, 16)]), build.duct_shift)
    rise = float(rng.uniform(-4, 10))
    tail: Points = (
        (-22 + 0.5 * dx, 25, 24 + 0.5 * rise),
        (-55, 2, 34 + rise),
        (-78, -14, 44 + rise),
    )
    radii = np.array([13.0, 13.0, 9.0, 10.0, 10.0, 8.0]) * size
    region, field = scene.canvas.tube(Tube(head + tail, tuple(radii)))
    lobes = np.sin(scene.canvas.at(region) * np.float32(0.75)).sum(axis=0) * np.float32(0.6)
    scene.fill(region, field + lobes < 0, "pancreas")


def _paint_duodenum(scene: Scene) -> None:
    build = scene.build
    rng = build.generator("duodenum")
    length = float(rng.uniform(-8, 6))
    upper = moved(
        np.array([(33.0, 41, 16), (44, 30, 14), (50, 20, -4), (50, 16, -32)]), build.duct_shift
    )
    lower: Points = (
        (38, 20, -50 + length),
        (10, 25, -54 + length),
        (-20, 24, -46 + length),
        (-30, 24, -22 + length),
    )
    width = rng.uniform(0.88, 1.15)
    radii = np.array([9.0, 12.0, 11.0, 11.5, 11.5, 11.0, 10.0, 10.0, 9.0]) * width
    region, field = scene.canvas.tube(Tube((pylorus(build), *upper, *lower), tuple(radii)))
    _paint_hollow(scene, region, field, "duodenum")


def _paint_great_vessels(scene: Scene) -> None:
    build = scene.build
    rng = build.generator("vessels")
    wide, deep = rng.uniform(0.85, 1.2), float(rng.uniform(-3, 3))
    cava: Points = (
        (13, -2, -82),
        (15, -2, -10),
        (16, 1, 45),
        (18, 8, 90),
        (16, 14, 112),
        (14, 18, 128 + build.dome_mm[0]),
    )
    region, field = scene.canvas.tube(Tube(cava, tuple(np.array([9.5, 10, 11, 12, 12, 12]) * wide)))
    scene.fill(region, field < 0, "inferior_vena_cava")
    aorta: Points = (
        (-11 + deep, -2, -78),
        (-14, 0, 0),
        (-14, -3, 55),
        (-17, -12, 105),
        (-22, -27, 170),
        (-22, -38, 260),
    )
    size = rng.uniform(0.85, 1.2)
    region, field = scene.canvas.tube(Tube(aorta, tuple(np.array([8, 9, 10, 11, 11.5, 12]) * size)))
    scene.fill(region, field < 0, "aorta")


def _paint_other_vessels(scene: Scene) -> None:
    build = scene.build
    dx, dy, dz = build.duct_shift
    veins: tuple[tuple[Points, float], ...] = (
        (((10 + dx, 22 + dy, -90), (10 + dx, 20 + dy, 10 + dz)), 5.5),
        (((10 + dx, 20 + dy, 10 + dz), (22, 22, 38), (40, 24, 58 + 0.6 * build.dome_mm[0])), 6.5),
        (((10 + dx, 20 + dy, 12 + dz), (-25, 14, 24), (-55, -8, 36), (-80, -22, 52)), 4.0),
        (((44, -28, -2), (15, -4, 0)), 5.0),
        (((-46, -28, 6), (-20, 13, 6), (12, 4, 4)), 4.5),
        (((13, -2, -80), (34, -8, -125)), 8.0),
    )
    arteries: tuple[tuple[Points, float], ...] = (
        (((-14, 6, 22), (-10, 16, 0), (-2, 20, -60)), 3.5),
        (((-14, 4, 36), (-14, 18, 38), (4, 24, 40)), 3.0),
        (((-14, -2, 6), (-44, -26, 4)), 3.0),
        (((-14, -2, 4), (42, -26, -6)), 3.0),
        (((-11, -2, -76), (-32, -2, -125)), 6.0),
        (((-11, -2, -76), (12, -1, -125)), 6.0),
    )
    for name, vessels in (("other_vein", veins), ("other_artery", arteries)):
        for points, radius in vessels:
            region, field = scene.canvas.tube(Tube(points, (radius,) * len(points)))
            free = scene.holds(region, "visceral_fat")
            scene.fill(region, free & (field < 0), name)


def _paint_esophagus(scene: Scene) -> None:
    build = scene.build
    rng = build.generator("esophagus")
    x, y, z = cardia(build)
    size = rng.uniform(0.85, 1.2)
    points: Points = ((-10, -8, 260), (-10, -2, 170), (-13, 4, 125), (-22, 7, z + 12), (x, y, z))
    region, field = scene.canvas.tube(Tube(points, tuple(np.array([8, 8, 8.5, 8, 8.5]) * size)))
    scene.fill(region, field < 0, "esophagus")


def _paint_adrenals(scene: Scene) -> None:
    build = scene.build
    places: tuple[tuple[str, float, Triple], ...] = (
        ("right_adrenal_gland", 1.0, (26, -27, 58)),
        ("left_adrenal_gland", -1.0, (-42, -18, 52)),
    )
    for name, side, (x, y, z) in places:
        size = build.generator(name).uniform(0.9, 1.15)
        limbs = (
            Blob((x + side * 4, y - 5, z), (3.8 * size, 11 * size, 14 * size), (0, 0, side * 28)),
            Blob((x - side * 2, y - 5, z), (3.6 * size, 11 * size, 13 * size), (0, 0, side * -18)),
        )
        for limb in limbs:
            region, field = scene.canvas.blob(limb)
            scene.fill(region, field < 0, name)


def _drop_splinters(scene: Scene, organ: str) -> None:
    """Turn an organ's loose bits into fat, but for those that the field of view cuts."""
    lookup = organ_lookup()
    inside = lookup[scene.canvas.tissues] == organ_table().by_id(organ).value
    pieces, count = ndimage.label(inside, np.ones((3, 3, 3)))
    if count < 2:
        return
    sizes = np.bincount(pieces.ravel())
    loose = sizes * scene.canvas.geometry.voxel_volume_mm3 < SPLINTER_ML * 1000
    loose[[0, 1 + int(np.argmax(sizes[1:]))]] = False
    for axis in range(3):
        ends = np.take(pieces, [0, -1], axis=axis)
        loose[np.unique(ends)] = False
    scene.fill(EVERYWHERE, loose[pieces], "visceral_fat")
