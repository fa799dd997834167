"""Calibrated meta-classifiers that answer for one vector, and their files."""
