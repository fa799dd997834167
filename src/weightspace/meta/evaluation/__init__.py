"""Cross-fitted accuracies and errors, and the classes of their results."""
