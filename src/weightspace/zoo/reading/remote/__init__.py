"""Zoos behind a URL, read by ranges, from servers that may lie."""
