"""Bytes of a zoo: names of files, vectors in shards, checksums, Parquet read with suspicion."""
