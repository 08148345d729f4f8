"""Twelve-lead ECGs: simulated ones and records in files, their labels, leads and scales."""
