"""Measurements, printed as tables of ratios against a baseline of the same run. Never run as tests."""
