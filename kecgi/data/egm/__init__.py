"""Atrial electrograms with body-surface potentials, by rhythm; and measured ones."""
