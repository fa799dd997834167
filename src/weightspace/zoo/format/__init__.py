"""The content of each file of a zoo, checked when it is read."""
