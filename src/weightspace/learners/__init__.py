"""Estimators that read labels off features of weights, behind scikit-learn's contract.

In: features [n, F], or slices as they are, and labels as codes [n], one column for each property,
so that one factorisation serves all of them. Out: fitted estimators with log-probabilities, and
`registry`, which knows each meta-classifier by name, with the features that it reads. Promises:
`__init__` stores its arguments and nothing else, one seed gives one result, and torch is loaded
only where one of the networks in `neural` is made.
"""
