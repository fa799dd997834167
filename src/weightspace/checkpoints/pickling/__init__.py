"""Pickles as data: a machine, its opcodes, and what names and keys may be."""
