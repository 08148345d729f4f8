"""Generative deep learning for electrocardiographic imaging (ECGI) with Keras 3.

Data flows one way through the subpackages: `geometry`, `simulate`, `data`, `models`, `evaluate`,
`figures` and `tracking`. Importing `kecgi` alone loads none of them.
"""

from importlib.metadata import version

__version__ = version("kecgi")
