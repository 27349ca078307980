"""The scikit-learn face: `Classifier` and `Regressor`, with the argument names of MLPClassifier and MLPRegressor.

    arguments.py    the arguments as checked settings, and the net and the rule that they describe
    rounds.py       one epoch after another, on the engine that suits the size of the problem
    base.py         fit, partial_fit and what both estimators share
    classifier.py   labels, several labels a row, probabilities
    regressor.py    numbers, one or several a row

Imported only when one of the two names is used: scikit-learn takes a while to load.
"""

from backlit.estimators.classifier import Classifier
from backlit.estimators.regressor import Regressor

__all__ = ["Classifier", "Regressor"]
