"""Cross-fitted accuracies and errors, and the results that hold them."""
