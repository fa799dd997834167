"""Reading a zoo, on a disk or behind a URL: tables, vectors and slices."""
