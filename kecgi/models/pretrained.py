"""Trained models that come with the package."""

from __future__ import annotations

import json
from importlib.resources import as_file, files

import keras

WEIGHTS = files("kecgi.models") / "weights"
"""A folder with NAME.keras and, beside it, NAME.json: how it was trained and what it reached."""


def pretrained(name: str = "activation-posterior") -> keras.Model:
    """Load a model that comes with the package.

    Parameters
    ----------
    name : str
        One of `pretrained_names`.

    Raises
    ------
    ValueError
        Where there is no such model.
    """
    _require(name)
    with as_file(WEIGHTS / f"{name}.keras") as path:
        return keras.saving.load_model(path)


def provenance(name: str = "activation-posterior") -> dict:
    """Return how a model that comes with the package was trained, and what it reached.

    Parameters
    ----------
    name : str
        One of `pretrained_names`.

    Returns
    -------
    dict
        The recipe's command, the version, the dataset's config, and the headline figures.
    """
    _require(name)
    return json.loads((WEIGHTS / f"{name}.json").read_text())


def pretrained_names() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(f.name.removesuffix(".keras") for f in WEIGHTS.iterdir() if f.suffix == ".keras")


def _require(name: str) -> None:
    if name not in pretrained_names():
        raise ValueError(f"no model {name!r} comes with kecgi; there are {pretrained_names()}")
