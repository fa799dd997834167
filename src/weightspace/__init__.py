"""Dissect the weight space of neural networks."""
