"""Intervals, paired comparisons, calibration and measures of numbers."""
