"""Writing a zoo, a unit at a time, by any number of processes."""
