"""What is said about an exported model: values only, for recipes."""

from __future__ import annotations

from dataclasses import dataclass, field

from FlareMRCore.training.feeding import Feeding


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What people should know about a model, see `WeightsEntry`, and how it is used.

    Attributes:
        model_id: identifier of the weights.
        feeding: of networks that were trained on pools; others are used as always.
    """

    model_id: str
    title: str
    version: str = "1"
    description: str = ""
    license: str = "not stated"
    license_url: str = ""
    open_license: bool = False
    feeding: Feeding = field(default_factory=Feeding)
