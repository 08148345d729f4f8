"""Tikhonov's method of any order and truncated SVD, with automatic choice of the parameter.

All methods share one decomposition. With a penalty ``|L x|²`` the problem
``min |A x - y|² + lambda² |L x|²`` is brought into standard form [1]_ (L becomes the identity; what
L doesn't see, constants, is fitted freely), and the singular value decomposition of that form
gives the solution for every lambda at the cost of a product of matrices.

References
----------
.. [1] Hansen 1998, Rank-deficient and discrete ill-posed problems, doi 10.1137/1.9780898719697,
   sections 2.3 (standard form), 7.4 (GCV) and 7.5 (L-curve).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

NULL = 1e-9
"""Eigenvalues of the penalty below this share of the largest belong to its null space."""

GRID = 400
"""Values of lambda among which L-curve and GCV choose."""


@dataclass(frozen=True, eq=False)
class StandardForm:
    """A linear inverse problem, decomposed once for all data and all parameters.

    Attributes
    ----------
    left : ndarray, shape (data, k)
        Left singular vectors.
    singular : ndarray, shape (k,)
        Singular values in decreasing order; generalised ones where there is a penalty.
    right : ndarray, shape (unknowns, k)
        Solutions that the singular vectors stand for.
    free : ndarray, shape (unknowns, data)
        From data to the part of the solution that the penalty doesn't see.
    unexplained : ndarray, shape (data, data)
        Projection of the data onto what the free part can't explain.
    """

    left: np.ndarray
    singular: np.ndarray
    right: np.ndarray
    free: np.ndarray
    unexplained: np.ndarray

    @classmethod
    def of(cls, matrix: np.ndarray, penalty: np.ndarray | None = None) -> StandardForm:
        """Decompose ``A`` under the penalty ``xᵀ K x``.

        Parameters
        ----------
        matrix : ndarray, shape (data, unknowns)
            The forward matrix A.
        penalty : ndarray, shape (unknowns, unknowns), optional
            Symmetric positive semi-definite K = LᵀL; the identity by default.

        Raises
        ------
        ValueError
            Where shapes don't match, values aren't finite, K is indefinite, or A doesn't see what
            K leaves free.
        """
        matrix = np.asarray(matrix, float)
        if matrix.ndim != 2 or not np.all(np.isfinite(matrix)):
            raise ValueError(f"the matrix must be 2-D and finite, got shape {matrix.shape}")
        data, unknowns = matrix.shape
        if penalty is None:
            left, singular, right = linalg.svd(matrix, full_matrices=False)
            keep = singular > np.finfo(float).eps * max(matrix.shape) * singular[0]
            return cls(
                left[:, keep], singular[keep], right[keep].T,
                np.zeros((unknowns, data)), np.eye(data),
            )  # fmt: skip
        penalty = np.asarray(penalty, float)
        if penalty.shape != (unknowns, unknowns):
            raise ValueError(
                f"the penalty has shape {penalty.shape}, expected ({unknowns}, {unknowns})"
            )
        if not np.allclose(penalty, penalty.T, atol=1e-9 * np.abs(penalty).max()):
            raise ValueError("the penalty isn't symmetric; pass LᵀL")
        values, vectors = linalg.eigh(penalty)
        if values[0] < -NULL * values[-1]:
            raise ValueError(f"the penalty has a negative eigenvalue {values[0]:.3g}; pass LᵀL")
        null = values <= NULL * values[-1]
        seen = matrix @ vectors[:, null]
        basis, triangle = linalg.qr(seen, mode="economic")
        size = np.abs(np.diag(triangle))
        if size.size and size.min() <= 1e-9 * np.abs(matrix).max():
            raise ValueError("the data say nothing about what the penalty leaves free")
        free = vectors[:, null] @ linalg.solve(triangle, basis.T)
        unexplained = np.eye(data) - basis @ basis.T
        to_unknowns = vectors[:, ~null] / np.sqrt(values[~null])
        to_unknowns = to_unknowns - free @ (matrix @ to_unknowns)
        left, singular, right = linalg.svd(matrix @ to_unknowns, full_matrices=False)
        keep = singular > np.finfo(float).eps * max(matrix.shape) * singular[0]
        return cls(left[:, keep], singular[keep], to_unknowns @ right[keep].T, free, unexplained)

    def solve(self, data: np.ndarray, strength: float | int, kind: str = "tikhonov") -> np.ndarray:
        """Solution for data of shape (data,) or (data, times).

        Parameters
        ----------
        data : ndarray
            Right-hand sides.
        strength : float or int
            lambda of Tikhonov's method, or the number of singular values that truncated SVD keeps.
        kind : {"tikhonov", "tsvd"}
            Which filter.
        """
        weights = self._filters(strength, kind) / self.singular
        fitted = (self.right * weights) @ (self.left.T @ data)
        return fitted + self.free @ data

    def l_curve(self, data: np.ndarray, strengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Norms of residual and penalty, shape (strengths,), over all columns of the data."""
        power, beyond = self._power(data)
        filters = np.array([self._filters(s, "tikhonov") for s in strengths])
        residual = np.sqrt((1 - filters) ** 2 @ power + beyond)
        return residual, np.sqrt((filters / self.singular) ** 2 @ power)

    def choose(self, data: np.ndarray, rule: str = "l-curve", kind: str = "tikhonov") -> float:
        """Strength for `solve` that the data suggest, one for all their columns.

        Parameters
        ----------
        data : ndarray, shape (data,) or (data, times)
            Right-hand sides.
        rule : {"l-curve", "gcv"}
            The corner of the L-curve, where its curvature in logarithms is largest; or the least
            of the generalised cross-validation's function. For truncated SVD the corner keeps the
            singular values above Tikhonov's lambda: both have the same L-curve there [1]_.
        kind : {"tikhonov", "tsvd"}
            The filter that the strength is for.

        Raises
        ------
        ValueError
            Where rule or kind is unknown, or the data are zero.
        """
        if rule not in ("l-curve", "gcv") or kind not in ("tikhonov", "tsvd"):
            raise ValueError(
                f"rule {rule!r} and kind {kind!r}: expected 'l-curve' or 'gcv', and 'tikhonov' or "
                "'tsvd'"
            )
        if rule == "l-curve":
            strength = self._corner(data)
            if kind == "tikhonov":
                return strength
            return max(int(np.count_nonzero(self.singular > strength)), 1)
        power, beyond = self._power(data)
        if not power.sum() > 0:
            raise ValueError("the data are zero: there is nothing to choose a parameter from")
        strengths = self.strengths() if kind == "tikhonov" else np.arange(1, len(self.singular))
        filters = np.array([self._filters(s, kind) for s in strengths])
        freedom = np.trace(self.unexplained) - filters.sum(axis=1)
        score = ((1 - filters) ** 2 @ power + beyond) / freedom**2
        return strengths[np.argmin(score)].item()

    def strengths(self) -> np.ndarray:
        """Values of lambda that span the singular values, in increasing order."""
        return np.geomspace(self.singular[-1], self.singular[0], GRID)

    def curvature(self, data: np.ndarray, strengths: np.ndarray) -> np.ndarray:
        """Curvature of the L-curve in logarithms, positive at its corner; exact derivatives."""
        power, beyond = self._power(data)
        if not power.sum() > 0:
            raise ValueError("the data are zero: there is nothing to choose a parameter from")
        squared = strengths[:, None] ** 2
        filters = self.singular**2 / (self.singular**2 + squared)
        rest = (1 - filters) ** 2 @ power + beyond
        size = (filters / self.singular) ** 2 @ power
        # derivatives by ln lambda: f' = -2 f (1 - f), and rest' = -lambda² size'
        slope = -4 * (filters**2 * (1 - filters) / self.singular**2) @ power
        bend = 8 * (filters**2 * (1 - filters) * (2 - 3 * filters) / self.singular**2) @ power
        x1 = -(strengths**2) * slope / (2 * rest)
        y1 = slope / (2 * size)
        x2 = -(strengths**2) * (2 * slope + bend) / (2 * rest) - 2 * x1**2
        y2 = bend / (2 * size) - 2 * y1**2
        return (x1 * y2 - y1 * x2) / (x1**2 + y1**2) ** 1.5

    def _corner(self, data: np.ndarray) -> float:
        strengths = self.strengths()
        return float(strengths[np.argmax(self.curvature(data, strengths))])

    def _filters(self, strength: float | int, kind: str) -> np.ndarray:
        if not strength > 0:
            raise ValueError(f"the strength is {strength}, expected a positive number")
        if kind == "tsvd":
            return (np.arange(len(self.singular)) < strength).astype(float)
        return self.singular**2 / (self.singular**2 + strength**2)

    def _power(self, data: np.ndarray) -> tuple[np.ndarray, float]:
        """Power of the data along each singular vector, and beyond all of them."""
        data = np.asarray(data, float).reshape(len(self.left), -1)
        along = self.left.T @ data
        beyond = self.unexplained @ data - self.left @ along
        return np.square(along).sum(axis=1), float(np.square(beyond).sum())
