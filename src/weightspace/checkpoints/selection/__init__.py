"""The net in a file: which state dict, without averages and wrappers, with computed kernels."""
