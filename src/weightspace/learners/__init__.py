"""Estimators that predict how a net was trained from features of its weights.

In: features [n, F], or slices as they are, and labels as codes [n, q], one column for each
property, so that one factorisation serves all of them. Out: fitted estimators with
log-probabilities, and `registry`, which lists each meta-classifier by name with the features that
it reads. Promises: the estimators follow scikit-learn's contract; the same seed gives the same
result; torch is loaded only when one of the networks in `neural` is made.
"""
