"""The bytes of a zoo: file names, vectors in shards, checksums, and Parquet files."""
