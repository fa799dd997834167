"""Reading a zoo, on a disk or at a URL: tables, vectors and slices."""
