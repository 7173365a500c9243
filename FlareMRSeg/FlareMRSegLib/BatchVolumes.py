"""Organ volumes of the rows of a batch, kept beside its results."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.data.labels import organ_table

FILE_NAME = "flaremr-batch-volumes.json"


class BatchVolumes:
    """Volume of each organ in mL, by the name of the row."""

    def __init__(self) -> None:
        self._volumes: dict[str, dict[str, float]] = {}

    def add(self, name: str, record: Mapping[str, Any]) -> None:
        """Take over the organs of the record of a case."""
        organs = record.get("organs", ())
        self._volumes[name] = {organ["id"]: float(organ["volume_ml"]) for organ in organs}

    def addedTo(self, table: str) -> str:
        """A CSV table with a column ``name``, with a column for each organ added."""
        rows = list(csv.DictReader(io.StringIO(table)))
        header = next(csv.reader(io.StringIO(table)), [])
        organs = [label.id for label in organ_table()]
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*header, *(f"{organ}_ml" for organ in organs)])
        for row in rows:
            known = self._volumes.get(row["name"], {})
            writer.writerow([*row.values(), *(known.get(organ, "") for organ in organs)])
        return stream.getvalue()

    def save(self, folder: Path) -> None:
        """Write the volumes into the folder of the results."""
        text = json.dumps(self._volumes, indent=1, ensure_ascii=False)
        write_text_atomically(folder / FILE_NAME, text + "\n")

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote; nothing if it is missing or damaged."""
        try:
            content = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
            self._volumes = {
                str(name): {str(organ): float(ml) for organ, ml in organs.items()}
                for name, organs in content.items()
            }
        except (OSError, ValueError, AttributeError, TypeError):
            self._volumes = {}
