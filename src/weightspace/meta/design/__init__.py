"""The design of a study: labels, folds, and features of slices and of whole nets."""
