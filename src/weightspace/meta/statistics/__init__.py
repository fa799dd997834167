"""Intervals, paired comparisons, calibration, and measures of predicted numbers."""
