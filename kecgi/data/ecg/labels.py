"""What an ECG is labelled with: an ordered list of classes, each with its SNOMED-CT code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class LabelSchema:
    """Classes of a multi-hot label vector. Saved with each dataset and each model.

    Parameters
    ----------
    names : sequence of str
        Short names, one a class, in the order of the vector.
    codes : sequence of str
        SNOMED-CT code of each class.

    Raises
    ------
    ValueError
        Where there is no class, a name or code comes twice, or their numbers differ.
    """

    names: tuple[str, ...]
    codes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the classes."""
        for field in ("names", "codes"):
            object.__setattr__(self, field, tuple(map(str, getattr(self, field))))
        if not self.names or len(self.names) != len(self.codes):
            raise ValueError(f"{len(self.names)} names for {len(self.codes)} codes, expected both")
        for values in (self.names, self.codes):
            twice = sorted({v for v in values if values.count(v) > 1})
            if twice:
                raise ValueError(f"{twice} come twice among {list(values)}")

    def __len__(self) -> int:
        """Count the classes."""
        return len(self.names)

    def index(self, name: str) -> int:
        """Place of a class; a ValueError names the classes there are."""
        if name not in self.names:
            raise ValueError(f"label {name!r} is unknown, expected one of {list(self.names)}")
        return self.names.index(name)

    def encode(self, labels: Iterable[str]) -> np.ndarray:
        """Multi-hot vector, shape (classes,), of class names; an unknown name is an error."""
        row = np.zeros(len(self), np.float32)
        for name in labels:
            row[self.index(name)] = 1
        return row

    def encode_codes(self, codes: Iterable[str]) -> np.ndarray:
        """Multi-hot vector of SNOMED-CT codes; codes of other classes are left out."""
        codes = set(map(str, codes))
        return np.array([code in codes for code in self.codes], np.float32)

    def decode(self, row: np.ndarray) -> tuple[str, ...]:
        """Names of the classes at 0.5 or more in a vector, shape (classes,)."""
        return tuple(n for n, on in zip(self.names, self._active(row), strict=True) if on)

    def decode_codes(self, row: np.ndarray) -> tuple[str, ...]:
        """Codes of the classes at 0.5 or more in a vector, shape (classes,)."""
        return tuple(c for c, on in zip(self.codes, self._active(row), strict=True) if on)

    def subset(self, names: Sequence[str]) -> LabelSchema:
        """Return a schema of some of the classes, in the given order."""
        return LabelSchema(tuple(names), tuple(self.codes[self.index(n)] for n in names))

    def to_json(self) -> str:
        """Return the schema as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> LabelSchema:
        """Read what `to_json` wrote."""
        values = json.loads(text)
        if not isinstance(values, dict) or set(values) != {"names", "codes"}:
            raise ValueError(f"not a label schema: {text[:200]!r}; expected names and codes")
        return cls(**values)

    def _active(self, row: np.ndarray) -> np.ndarray:
        row = np.asarray(row)
        if row.shape != (len(self),):
            raise ValueError(f"a label vector has shape {row.shape}, expected ({len(self)},)")
        return row >= 0.5


NINE = LabelSchema(
    ("SR", "MI", "LAD", "LVH", "AF", "STach", "IAVB", "SB", "TAb"),
    (
        "426783006",
        "164865005",
        "39732003",
        "164873001",
        "164889003",
        "427084000",
        "270492004",
        "426177001",
        "164934002",
    ),
)
"""Sinus rhythm, infarction, left axis, left hypertrophy, atrial fibrillation, sinus tachycardia,
first-degree block, sinus bradycardia, abnormal T: the classes of cNVAE-ECG (arXiv 2503.13469)."""

SIMULATED = NINE.subset(("SR", "MI", "LVH", "AF", "STach", "IAVB", "SB"))
"""Those that the built-in simulator makes."""
