"""The 13 organs of the phantom, shaped and placed after one adult's build."""

from __future__ import annotations

import numpy as np

from FlareMRCore.data.geometry import Triple
from FlareMRCore.data.phantom_body import Build, abdomen_field, moved
from FlareMRCore.data.phantom_shapes import (
    Blob,
    Canvas,
    Field,
    Slices,
    Tube,
    blob_field,
    blob_radius,
    local_axes,
    smooth_union,
)
from FlareMRCore.data.phantom_tissues import tissue_code

Points = tuple[Triple, ...]


def paint_organs(canvas: Canvas, build: Build) -> None:
    """Paint all organs; where two shapes overlap, the later one wins."""
    _paint_liver(canvas, build)
    _paint_spleen(canvas, build)
    _paint_stomach(canvas, build)
    for side in (1.0, -1.0):
        _paint_kidney(canvas, build, side=side)
    _paint_gallbladder(canvas, build)
    _paint_other_vessels(canvas, build)
    _paint_pancreas(canvas, build)
    _paint_duodenum(canvas, build)
    _paint_great_vessels(canvas, build)
    _paint_esophagus(canvas, build)
    _paint_adrenals(canvas, build)


def pylorus(build: Build) -> Triple:
    """Where the stomach ends and the duodenum begins."""
    return moved(np.array([(22.0, 42, 10)]), build.duct_shift)[0]


def cardia(build: Build) -> Triple:
    """Where the esophagus ends and the stomach begins."""
    rise = 0.5 * build.dome_mm[1]
    return (-36.0, 8.0, 88.0 + rise)


def liver_field(points: Field, build: Build) -> Field:
    """About the signed distance in mm to the liver's surface."""
    rng = build.generator("liver")
    size, left, tilt = rng.uniform(0.94, 1.06), rng.uniform(0.85, 1.12), rng.uniform(10, 20)
    rise = 0.6 * build.dome_mm[0]
    right_lobe = Blob((66, 0, 48 + rise), (58 * size, 78 * size, 82 * size), (0, tilt, 0))
    left_lobe = Blob((0, 52, 80 + rise), (70 * left, 34, 32 * left), (0, -10, 8))
    hollow = Blob((4, 18, 8 + rise), (42, 54, 48), (0, 0, 0))
    field = smooth_union(blob_field(points, right_lobe), blob_field(points, left_lobe), 24.0)
    field = np.maximum(field, -blob_field(points, hollow))
    result: Field = np.maximum(field, abdomen_field(points, build) + 3)
    return result


def _paint_liver(canvas: Canvas, build: Build) -> None:
    region = canvas.region(np.array([-110.0, -100, -70]), np.array([150.0, 120, 160]))
    inside = liver_field(canvas.at(region), build) < 0
    canvas.paint(region, inside, tissue_code("liver"))
    rise = 0.6 * build.dome_mm[0]
    veins: tuple[Points, ...] = (
        ((18, 10, 100 + rise), (45, 0, 95 + rise), (90, -20, 70 + rise)),
        ((18, 12, 100 + rise), (40, 35, 92 + rise), (70, 60, 70 + rise)),
        ((16, 14, 100 + rise), (0, 40, 95 + rise), (-25, 58, 88 + rise)),
        ((40, 24, 58 + rise), (65, 15, 62 + rise), (85, -15, 50 + rise)),
        ((40, 24, 58 + rise), (65, 35, 55 + rise), (92, 45, 40 + rise)),
        ((40, 24, 58 + rise), (15, 45, 78 + rise), (-20, 60, 78 + rise)),
    )
    for points in veins:
        part, field = canvas.tube(Tube(points, (5.5, 4.0, 1.8)))
        liver = canvas.tissues[part] == tissue_code("liver")
        canvas.paint(part, liver & (field < 0), tissue_code("liver_vein"))


def _paint_spleen(canvas: Canvas, build: Build) -> None:
    rng = build.generator("spleen")
    size = rng.uniform(0.85, 1.15)
    rise = 0.5 * build.dome_mm[1]
    shape = Blob((-94, -34, 62 + rise), (28 * size, 42 * size, 50 * size), (0, -14, -18))
    hollow = Blob((-48, -4, 62 + rise), (36, 38, 46))
    region, field = canvas.blob(shape)
    points = canvas.at(region)
    field = np.maximum(field, -blob_field(points, hollow))
    field = np.maximum(field, abdomen_field(points, build) + 3)
    canvas.paint(region, field < 0, tissue_code("spleen"))


def _paint_stomach(canvas: Canvas, build: Build) -> None:
    rng = build.generator("stomach")
    x, y, z = cardia(build)
    width, drop = build.stomach_filling, rng.uniform(-12, 8)
    points: Points = (
        (-58, -2, z + 2),
        (-66, 12, z - 16),
        (-68, 32, 52),
        (-50, 52, 24 + drop),
        (-18, 56, 6 + drop),
        (8, 50, 4 + 0.5 * drop),
        pylorus(build),
    )
    radii = (24 * width, 28 * width, 27 * width, 25 * width, 19 * width, 14.0, 8.0)
    region, field = canvas.tube(Tube(points, radii))
    inside = np.maximum(field, abdomen_field(canvas.at(region), build) + 3)
    _paint_hollow(canvas, region, inside, "stomach", wall_mm=3.5)
    neck, field = canvas.tube(Tube(((x, y, z), (-52, 6, z - 4)), (9, 14)))
    canvas.paint(neck, field < 0, tissue_code("stomach_wall"))
    content = canvas.tissues[region] == tissue_code("stomach_content")
    gas = canvas.at(region)[1] > np.float32(rng.uniform(48, 75))
    canvas.paint(region, content & gas, tissue_code("stomach_gas"))


def _paint_hollow(
    canvas: Canvas, region: Slices, field: Field, name: str, *, wall_mm: float
) -> None:
    canvas.paint(region, field < 0, tissue_code(f"{name}_wall"))
    canvas.paint(region, field < -wall_mm, tissue_code(f"{name}_content"))


def _paint_kidney(canvas: Canvas, build: Build, *, side: float) -> None:
    name = "right_kidney" if side > 0 else "left_kidney"
    rng = build.generator(name)
    size, drop = rng.uniform(0.88, 1.1), rng.uniform(-9, 9)
    center = (side * 62.0 if side > 0 else -68.0, -34.0, (-6.0 if side > 0 else 4.0) + drop)
    turn = (-8.0, side * -14.0 * -1.0, side * 28.0)
    shape = Blob(center, (26 * size, 24 * size, 54 * size), turn, power=2.2)
    region, field = canvas.blob(shape)
    points = canvas.at(region)
    own = local_axes(points, shape)
    radius = blob_radius(points, shape)
    hilum = Blob((-side * 22.0, 4.0, 0.0), (17.0, 15.0, 22.0))
    sinus = blob_field(own, hilum) < 0
    body = (field < 0) & ~sinus
    canvas.paint(region, (field < 0) & sinus, tissue_code("visceral_fat"))
    canvas.paint(region, body, tissue_code(f"{name}_cortex"))
    pyramids = np.cos(7 * np.arctan2(own[2], own[0] + np.float32(side * 8))) > -0.3
    medulla = body & pyramids & (radius > 0.3) & (radius < 0.76)
    canvas.paint(region, medulla, tissue_code(f"{name}_medulla"))


def _paint_gallbladder(canvas: Canvas, build: Build) -> None:
    rng = build.generator("gallbladder")
    size = rng.uniform(0.75, 1.2)
    dx, dy, dz = build.duct_shift
    shift = (dx + float(rng.uniform(-3, 5)), dy, 0.6 * build.dome_mm[0])
    points = moved(np.array([(44.0, 36, 44), (56, 46, 26), (68, 58, 8)]), shift)
    region, field = canvas.tube(Tube(points, (6 * size, 13 * size, 14 * size)))
    canvas.paint(region, field < 0, tissue_code("gallbladder"))


def _paint_pancreas(canvas: Canvas, build: Build) -> None:
    rng = build.generator("pancreas")
    size, dx = rng.uniform(0.85, 1.15), build.duct_shift[0]
    head = moved(np.array([(30.0, 24, -14), (26, 26, 2), (8, 33, 16)]), build.duct_shift)
    rise = float(rng.uniform(-4, 10))
    tail: Points = ((-22 + 0.5 * dx, 25, 24 + 0.5 * rise), (-55, 2, 34 + rise), (-78, -14, 44 + rise))
    radii = np.array([13.0, 13.0, 9.0, 10.0, 10.0, 8.0]) * size
    region, field = canvas.tube(Tube(head + tail, tuple(radii)))
    lobes = np.sin(canvas.at(region) * np.float32(0.75)).sum(axis=0) * np.float32(0.6)
    canvas.paint(region, field + lobes < 0, tissue_code("pancreas"))


def _paint_duodenum(canvas: Canvas, build: Build) -> None:
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
    region, field = canvas.tube(Tube((pylorus(build), *upper, *lower), tuple(radii)))
    _paint_hollow(canvas, region, field, "duodenum", wall_mm=3.5)


def _paint_great_vessels(canvas: Canvas, build: Build) -> None:
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
    region, field = canvas.tube(Tube(cava, tuple(np.array([9.5, 10, 11, 12, 12, 12]) * wide)))
    canvas.paint(region, field < 0, tissue_code("inferior_vena_cava"))
    aorta: Points = (
        (-11 + deep, -2, -78),
        (-14, 0, 0),
        (-14, -3, 55),
        (-17, -12, 105),
        (-22, -27, 170),
        (-22, -38, 260),
    )
    size = rng.uniform(0.85, 1.2)
    region, field = canvas.tube(Tube(aorta, tuple(np.array([8, 9, 10, 11, 11.5, 12]) * size)))
    canvas.paint(region, field < 0, tissue_code("aorta"))


def _paint_other_vessels(canvas: Canvas, build: Build) -> None:
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
            region, field = canvas.tube(Tube(points, (radius,) * len(points)))
            free = canvas.tissues[region] == tissue_code("visceral_fat")
            canvas.paint(region, free & (field < 0), tissue_code(name))


def _paint_esophagus(canvas: Canvas, build: Build) -> None:
    rng = build.generator("esophagus")
    x, y, z = cardia(build)
    size = rng.uniform(0.85, 1.2)
    points: Points = ((-10, -8, 260), (-10, -2, 170), (-13, 4, 125), (-22, 7, z + 12), (x, y, z))
    region, field = canvas.tube(Tube(points, tuple(np.array([8, 8, 8.5, 8, 8.5]) * size)))
    stomach = np.isin(
        canvas.tissues[region],
        [tissue_code(f"stomach_{part}") for part in ("wall", "content", "gas")],
    )
    canvas.paint(region, (field < 0) & ~stomach, tissue_code("esophagus"))


def _paint_adrenals(canvas: Canvas, build: Build) -> None:
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
            region, field = canvas.blob(limb)
            canvas.paint(region, field < 0, tissue_code(name))
