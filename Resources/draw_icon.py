"""Draws the icons of the extension: organs as soft shapes in the colors of the label table.

    python Resources/draw_icon.py

Pillow is needed. Drawn at eight times the size and reduced, so that edges are smooth.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from FlareMRCore.data.labels import organ_table  # noqa: E402 - found through the line above

SIZE = 128
SCALE = 8
BODY = (44, 52, 66)
FAT = (92, 104, 124)
SPINE = (206, 210, 216)

# Outlines on a grid of 128, in the radiologist's view: the patient's right is on the left.
ORGANS = {
    "liver": [
        (24, 54),
        (31, 38),
        (48, 31),
        (63, 33),
        (66, 40),
        (54, 52),
        (48, 66),
        (36, 76),
        (25, 70),
    ],
    "stomach": [(74, 38), (86, 32), (98, 41), (98, 54), (88, 63), (79, 60), (84, 50), (76, 46)],
    "spleen": [(100, 52), (106, 60), (104, 76), (96, 86), (94, 74), (98, 62)],
    "pancreas": [(58, 66), (72, 62), (86, 68), (84, 74), (70, 71), (58, 74)],
    "right_kidney": [(34, 80), (44, 78), (50, 88), (46, 98), (36, 96), (31, 88)],
    "left_kidney": [(84, 82), (94, 88), (92, 98), (82, 100), (77, 92), (78, 85)],
}
CIRCLES = {"aorta": (69, 83, 6), "inferior_vena_cava": (56, 82, 6), "gallbladder": (58, 57, 5)}


def draw(*, training: bool) -> Image.Image:
    """The icon, RGBA, 128 x 128 pixels; the training module's carries a learning curve."""
    colors = {label.id: label.color for label in organ_table()}
    image = Image.new("RGBA", (SIZE * SCALE, SIZE * SCALE), (0, 0, 0, 0))
    ellipse(image, (64, 66, 58, 48), FAT)
    ellipse(image, (64, 66, 53, 43), BODY)
    ellipse(image, (64, 95, 9, 8), SPINE)
    for organ, outline in ORGANS.items():
        image = blend(image, outline, colors[organ])
    for organ, (x, y, radius) in CIRCLES.items():
        ellipse(image, (x, y, radius, radius), colors[organ])
    if training:
        curve(image)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def ellipse(
    image: Image.Image, place: tuple[float, float, float, float], color: tuple[int, int, int]
) -> None:
    """Draw an ellipse given as center and radii."""
    x, y, a, b = (value * SCALE for value in place)
    ImageDraw.Draw(image).ellipse((x - a, y - b, x + a, y + b), fill=(*color, 255))


def blend(
    image: Image.Image, outline: list[tuple[int, int]], color: tuple[int, int, int]
) -> Image.Image:
    """The image with a filled outline on it, its corners rounded by blurring and thresholding."""
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).polygon([(x * SCALE, y * SCALE) for x, y in outline], fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(3 * SCALE)).point(lambda value: 255 * (value > 110))
    return Image.composite(Image.new("RGBA", image.size, (*color, 255)), image, mask)


def curve(image: Image.Image) -> None:
    """Draw a falling loss curve over the lower edge."""
    points = [(x * SCALE, (104 - 80 * 0.965 ** (x - 10)) * SCALE) for x in range(10, 119)]
    for color, width in ((BODY, 9), ((255, 255, 255), 4)):
        ImageDraw.Draw(image).line(points, fill=(*color, 255), width=width * SCALE, joint="curve")


if __name__ == "__main__":
    for path, is_training in (
        ("Resources/FlareMR.png", False),
        ("FlareMRSeg/Resources/Icons/FlareMRSeg.png", False),
        ("FlareMRTrain/Resources/Icons/FlareMRTrain.png", True),
    ):
        draw(training=is_training).save(REPOSITORY / path, optimize=True)
