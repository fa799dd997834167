"""Zoos at a URL, read by byte ranges, from servers that are not trusted."""
