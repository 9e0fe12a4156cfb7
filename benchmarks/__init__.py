"""Measurements: a command a figure, each prints its table and, with --json, the same as JSON."""
