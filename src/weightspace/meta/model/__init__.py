"""Models: calibrated meta-classifiers that predict from one vector, and their files."""
