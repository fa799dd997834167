"""Estimators that read labels off features of weights, behind scikit-learn's contract."""
