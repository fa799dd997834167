"""Writing a zoo, one stack at a time, by any number of processes."""
