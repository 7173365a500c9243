"""How an image translator is trained: values only, for recipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from FlareMRCore.training.learning_parameters import Averaging, Optimization, TrainerParameters
from FlareMRCore.training.schedules import Schedule

_CYCLEGAN = Optimization("adam", 2e-4, betas=(0.5, 0.999), schedule=Schedule("piecewise"))
_DARNET = Optimization("adabelief", 1e-4, betas=(0.5, 0.9), epsilon=1e-16)
_DARNET_JUDGES = Optimization("adabelief", 2e-4, betas=(0.5, 0.9), epsilon=1e-16)


@dataclass(frozen=True, slots=True)
class TranslationParameters:
    """What to train.

    Attributes:
        patch_shape: (J, I) or (K, J, I) of what the networks see.
        trainer: steps, seed, precision and averaging.
        family: which translator.
        generators: how translators and encoders are updated.
        discriminators: how those that judge them are.
        adversary: least squares or cross entropy.
        cycle_weight: of there and back again.
        identity_weight: of a target image translated to the target (CycleGAN).
        reconstruction_weight: of an image drawn from its own content and style (DARNet).
        code_weight: of content and style found again in a translated image (DARNet).
        adversarial_weight: of each adversarial term of the generators.
        batch_size: images of each domain in a step.
        memory_size: translated images that are shown again to CycleGAN's discriminators.
        width: features of the first layers; 0 for the published ones.
        blocks: residual blocks of a CycleGAN generator.
        augmentation: name in AUGMENTATIONS.
    """

    patch_shape: tuple[int, ...]
    trainer: TrainerParameters
    family: Literal["cyclegan", "darnet"] = "cyclegan"
    generators: Optimization = _CYCLEGAN
    discriminators: Optimization = _CYCLEGAN
    adversary: Literal["lsgan", "bce"] = "lsgan"
    cycle_weight: float = 10.0
    identity_weight: float = 5.0
    reconstruction_weight: float = 10.0
    code_weight: float = 1.0
    adversarial_weight: float = 1.0
    batch_size: int = 1
    memory_size: int = 50
    width: int = 0
    blocks: int = 9
    augmentation: str = "none"


def darnet_parameters(
    steps: int, patch_shape: tuple[int, int] = (512, 512), *, batch_size: int = 4, seed: int = 0
) -> TranslationParameters:
    """Published settings of DARNet. Source: Li et al., FLARE 2024 task 3."""
    averaging = Averaging("constant", 0.999, ("translator.",))
    return TranslationParameters(
        patch_shape=patch_shape,
        trainer=TrainerParameters(steps, seed, averaging=averaging),
        family="darnet",
        generators=_DARNET,
        discriminators=_DARNET_JUDGES,
        batch_size=batch_size,
        augmentation="li2024-slices",
    )


@dataclass(frozen=True, slots=True)
class TranslationImageRange:
    """Values that become -1 and 1 for a translator; None: from the image.

    Attributes:
        low: value that becomes -1; by default the image's minimum.
        high: value that becomes 1; by default the `percentile` of the image.
        percentile: for images without `high`.
    """

    low: float | None = None
    high: float | None = None
    percentile: float = 99.9


CT_RANGE = TranslationImageRange(-350.0, 350.0)
MR_RANGE = TranslationImageRange()


@dataclass(frozen=True, slots=True)
class TranslatorDescription:
    """What a saved translator is, so that it can be built again."""

    family: str
    dimensions: int
    width: int
    blocks: int
    style_steps: int = 5
