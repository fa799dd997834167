"""What is asked of a zoo: labels, folds, and the features of its slices and whole nets."""
