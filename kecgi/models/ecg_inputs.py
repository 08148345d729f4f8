"""What the generators of ECGs share: signals in [0, 1] beside the classes they belong to."""

from collections.abc import Sequence

import numpy as np

from kecgi.models.training import require_shape

LEADS = 8


def check_labelled(x, length: int, classes: Sequence[str], needed=("ecg", "labels")) -> None:
    """Raise an error that names what is wrong with a dict of ECGs and labels.

    Parameters
    ----------
    x : dict
        ``"ecg"``, shape (batch, length, 8), and ``"labels"``, shape (batch, classes), multi-hot.
    length : int
        Samples of an ECG.
    classes : sequence of str
        Names of the classes.
    needed : sequence of str
        The keys that must be there.

    Raises
    ------
    TypeError
        Where `x` is no dict, or an entry no array.
    ValueError
        Where a key is missing or a shape differs.
    """
    if not isinstance(x, dict):
        raise TypeError(f'inputs must be a dict with "ecg" and "labels", got {type(x).__name__}')
    missing = [key for key in needed if key not in x]
    if missing:
        raise ValueError(f"inputs lack {missing}; they hold {sorted(x)}")
    shapes = {"ecg": ((length, LEADS), "time, leads"), "labels": ((len(classes),), "classes")}
    for key in needed:
        require_shape(key, x[key], *shapes[key])


def multi_hot(labels, classes: Sequence[str]) -> np.ndarray:
    """Return a multi-hot vector of each set of labels asked for.

    Parameters
    ----------
    labels : str, sequence of str, or array
        A class; classes that hold together; or rows (..., classes) of zeros and ones, which are
        returned as they are.
    classes : sequence of str
        Names of the classes.

    Returns
    -------
    np.ndarray, shape (rows, classes), float32

    Examples
    --------
    >>> multi_hot(("AF", "LVH"), ("SR", "AF", "LVH"))
    array([[0., 1., 1.]], dtype=float32)
    """
    if isinstance(labels, str):
        labels = (labels,)
    if all(isinstance(label, str) for label in labels):
        unknown = sorted(set(labels) - set(classes))
        if unknown:
            raise ValueError(f"unknown classes {unknown}: the model knows {list(classes)}")
        return np.array([[name in labels for name in classes]], "float32")
    rows = np.atleast_2d(np.asarray(labels, "float32"))
    if rows.ndim != 2 or rows.shape[1] != len(classes) or not np.isfinite(rows).all():
        raise ValueError(
            f"labels must be names or rows of {len(classes)} finite numbers, for {list(classes)}; "
            f"got an array of shape {rows.shape}"
        )
    return rows


class GeneratesRecords:
    """Mixin of models with ``classes`` and ``sample``: records by the names of their classes."""

    def generate(self, labels, n: int = 1, seed: int | None = None, **options) -> np.ndarray:
        """Return new records of a class, or of classes that hold together.

        Parameters
        ----------
        labels : str, sequence of str, or array
            As in :func:`multi_hot`.
        n : int
            Records of each row of labels.
        seed : int, optional
            Seed of the noise.
        **options
            Batch, and temperatures where the model has them, of the model's ``sample``.

        Returns
        -------
        np.ndarray, shape (n * rows, length, 8), float32
            Leads I, III, V1 ... V6 in [0, 1]; all records differ, those of one row come together.
        """
        rows = np.repeat(multi_hot(labels, self.classes), n, axis=0)
        return self.sample({"labels": rows}, 1, seed, **options)[0]
