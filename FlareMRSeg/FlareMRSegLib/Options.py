"""How to segment: a value that knows what is wrong with it and how to say it to the engine."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from FlareMRCore.data.labels import organ_table
from FlareMRSegLib.Translation import tr as _

MODES = ("fast", "standard", "accurate")
MAX_TTA = 8
MAX_SMOOTHING = 1.0


@dataclass(frozen=True)
class SegmentationOptions:
    """What the user chose.

    Attributes:
        mode: one of `MODES`.
        device: ``"auto"``, ``"cpu"``, ``"cuda:N"`` or ``"mps"``.
        weights: identifier, or path of a model folder or archive; empty for the default.
        organs: identifiers of the wanted organs; None for all.
        tta: number of averaged views; 0 leaves it to the mode.
        threads: processor threads; 0 leaves it to the engine.
        allowCt: go on although the image looks like CT.
        confidenceMap: also make a volume with the probability of each voxel's label.
        show3d: show surfaces when done.
        smoothing: of these surfaces, 0 to 1; 0 switches it off.
    """

    mode: str = "standard"
    device: str = "auto"
    weights: str = ""
    organs: tuple[str, ...] | None = None
    tta: int = 0
    threads: int = 0
    allowCt: bool = False
    confidenceMap: bool = False
    show3d: bool = True
    smoothing: float = 0.5

    def problems(self) -> tuple[str, ...]:
        """Reasons, as sentences, why nothing can be run with these options; empty if it can."""
        return tuple(text for text in self._checks() if text)

    def arguments(self) -> list[str]:
        """Words for ``segment`` on the command line; files are added by who knows them."""
        words = ["--mode", self.mode, "--device", self.device]
        if self.weights:
            words += ["--weights", self.weights]
        if self.organs is not None:
            words += ["--organs", ",".join(self.organs)]
        if self.tta:
            words += ["--tta", str(self.tta)]
        if self.threads:
            words += ["--threads", str(self.threads)]
        if self.allowCt:
            words.append("--allow-ct")
        return words

    def toJson(self) -> str:
        """The options as text, e.g. for a preset or a node attribute."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def fromJson(cls, text: str) -> "SegmentationOptions":
        """The options in `text`; unknown entries are ignored, missing ones take their default.

        Raises:
            ValueError: `text` is no JSON object.
        """
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError(f"Options are a JSON object; found {text[:40]!r}.")
        known = {field.name for field in fields(cls)}
        values: dict[str, Any] = {key: value for key, value in content.items() if key in known}
        if isinstance(values.get("organs"), list):
            values["organs"] = tuple(values["organs"])
        return replace(cls(), **values)

    def wantedOrgans(self) -> tuple[str, ...]:
        """Identifiers of the wanted organs in order of their value."""
        everything = tuple(label.id for label in organ_table())
        return (
            everything if self.organs is None else tuple(o for o in everything if o in self.organs)
        )

    def _checks(self) -> Sequence[str]:
        return (
            "" if self.mode in MODES else _("There is no mode '{mode}'.").format(mode=self.mode),
            self._organProblem(),
            self._weightsProblem(),
            ""
            if 0 <= self.tta <= MAX_TTA
            else _("The number of views must be 0 to {limit}.").format(limit=MAX_TTA),
            "" if self.threads >= 0 else _("The number of threads must not be negative."),
            ""
            if 0 <= self.smoothing <= MAX_SMOOTHING
            else _("The smoothing factor must be between 0 and 1."),
        )

    def _organProblem(self) -> str:
        if self.organs is None:
            return ""
        if not self.organs:
            return _("Select at least one organ.")
        unknown = sorted(set(self.organs) - {label.id for label in organ_table()})
        if unknown:
            return _("Unknown organs: {organs}.").format(organs=", ".join(unknown))
        return ""

    def _weightsProblem(self) -> str:
        looksLikePath = os.sep in self.weights or "/" in self.weights
        if looksLikePath and not Path(self.weights).expanduser().exists():
            return _("The weights '{path}' do not exist.").format(path=self.weights)
        return ""
