"""Checking, merging and repairing zoos."""
