"""The forms of files, one a module: from an open file to named tensors and where they lie."""
