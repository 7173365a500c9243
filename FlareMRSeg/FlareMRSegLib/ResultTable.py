"""The organs of a result as a table: for the screen, for files, and what to look at first."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from FlareMRSegLib.Translation import tr as _

LOW_CONFIDENCE = 0.7
LOW_AGREEMENT = 0.8
"""Below these a result is worth a look; the networks' probabilities are not calibrated."""

ABSENT = ""


@dataclass(frozen=True)
class OrganRow:
    """One organ; numbers that are not known are None. `flags` as in `OrganResult`."""

    id: str
    name: str
    value: int
    volumeMl: float
    meanIntensity: float | None = None
    confidence: float | None = None
    agreement: float | None = None
    flags: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why somebody should look at this organ, worst first, in words."""
        found = [flagText(flag) for flag in self.flags]
        if self.agreement is not None and self.agreement < LOW_AGREEMENT:
            found.append(_("The averaged views disagree."))
        if self.confidence is not None and self.confidence < LOW_CONFIDENCE:
            found.append(_("The confidence is low."))
        return tuple(found)

    @property
    def doubt(self) -> float:
        """For sorting: flags count most, then how far confidence and agreement are from 1."""
        sure = min((x for x in (self.confidence, self.agreement) if x is not None), default=1.0)
        return len(self.flags) + (1.0 - sure)


@dataclass(frozen=True)
class ResultTable:
    """The organs of one segmentation in order of their label values."""

    rows: tuple[OrganRow, ...]

    @classmethod
    def fromRecord(cls, record: Mapping[str, Any]) -> "ResultTable":
        """The organs in the record of a case, or in a report of the engine.

        Raises:
            KeyError: it lists no organs.
        """
        return cls(tuple(_row(organ) for organ in record["organs"]))

    def reviewFirst(self) -> tuple[OrganRow, ...]:
        """Organs that deserve a look, most doubtful first; empty if none does."""
        doubtful = [row for row in self.rows if row.reasons]
        return tuple(sorted(doubtful, key=lambda row: -row.doubt))

    def headers(self) -> tuple[str, ...]:
        """Titles of the columns."""
        return (
            _("Organ"),
            _("Volume (mL)"),
            _("Mean intensity"),
            _("Confidence"),
            _("Agreement"),
            _("Look at"),
        )

    def cells(self, row: OrganRow) -> tuple[str, ...]:
        """Texts of one row, in the order of `headers`."""
        return (
            row.name,
            f"{row.volumeMl:.1f}",
            _number(row.meanIntensity, ".4g"),
            _number(row.confidence, ".2f"),
            _number(row.agreement, ".2f"),
            " ".join(row.reasons),
        )

    def toText(self) -> str:
        """The table with tabs, for the clipboard and spreadsheets."""
        lines = [self.headers(), *(self.cells(row) for row in self.rows)]
        return "\n".join("\t".join(line) for line in lines) + "\n"

    def toCsv(self) -> str:
        """The table with names that do not depend on the language, and all digits."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in self.rows:
            writer.writerow(
                (
                    row.id,
                    row.name,
                    row.value,
                    row.volumeMl,
                    *(_plain(x) for x in (row.meanIntensity, row.confidence, row.agreement)),
                    ";".join(row.flags),
                )
            )
        return stream.getvalue()

    def toTableNode(self, scene: Any, name: str, tableNode: Any = None) -> Any:
        """Fill `tableNode`, by default a new one in `scene`, and return it.

        Missing numbers are NaN, so that plots leave them out.
        """
        import vtk

        node = tableNode or scene.AddNewNodeByClass("vtkMRMLTableNode", name)
        node.RemoveAllColumns()
        for title, values in self._columns():
            isText = bool(values) and isinstance(values[0], str)
            array = vtk.vtkStringArray() if isText else vtk.vtkDoubleArray()
            array.SetName(title)
            for value in values:
                array.InsertNextValue(value)
            node.AddColumn(array)
        node.SetUseColumnTitleAsColumnHeader(True)
        node.SetLocked(True)
        return node

    def _columns(self) -> Iterable[tuple[str, list[Any]]]:
        nan = float("nan")
        columns = (
            [row.name for row in self.rows],
            [row.volumeMl for row in self.rows],
            [nan if row.meanIntensity is None else row.meanIntensity for row in self.rows],
            [nan if row.confidence is None else row.confidence for row in self.rows],
            [nan if row.agreement is None else row.agreement for row in self.rows],
            [" ".join(row.reasons) for row in self.rows],
        )
        return zip(self.headers(), columns, strict=True)


COLUMNS = (
    "id",
    "name",
    "value",
    "volume_ml",
    "mean_intensity",
    "confidence",
    "agreement",
    "flags",
)


def flagText(flag: str) -> str:
    """A flag of the engine in words; the flag itself if it is unknown."""
    texts = {
        "missing": _("Not found."),
        "touches-border": _("Reaches the border of the image."),
        "fragmented": _("In several pieces."),
        "implausible-volume": _("Unusual volume."),
    }
    return texts.get(flag, flag)


def _row(organ: Mapping[str, Any]) -> OrganRow:
    return OrganRow(
        id=organ["id"],
        name=organ["name"],
        value=int(organ["value"]),
        volumeMl=float(organ["volume_ml"]),
        meanIntensity=organ.get("mean_intensity"),
        confidence=organ.get("confidence"),
        agreement=organ.get("agreement"),
        flags=tuple(organ.get("flags", ())),
    )


def _number(value: float | None, form: str) -> str:
    return ABSENT if value is None else format(value, form)


def _plain(value: float | None) -> str:
    return ABSENT if value is None else repr(value)
