"""What configs of datasets share: one JSON object, and a name made from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields
from typing import ClassVar, Self


class DatasetConfig:
    """Base of the frozen dataclasses that describe a dataset.

    Attributes
    ----------
    generation : int
        Counts the changes after which equal configs no longer gave equal data, so that a dataset
        made before such a change isn't taken for one made after it.
    """

    generation: ClassVar[int] = 1

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits that name this config, for example in a folder's name."""
        text = self.to_json() if self.generation == 1 else f"{self.generation} {self.to_json()}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """Return the config as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            Where the text is not a JSON object of this class's fields.
        """
        values = json.loads(text)
        known = [f.name for f in fields(cls)]
        if not isinstance(values, dict) or set(values) - set(known):
            raise ValueError(
                f"not a config ({cls.__name__}): {text[:200]!r}; its fields are {known}"
            )
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
