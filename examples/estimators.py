"""Backlit within scikit-learn: a pipeline, cross-validation and a grid search on the breast cancer data.

    python examples/estimators.py

Prints the accuracy of a plain net, the settings that a search finds, and what the best net says of three tumours.
"""

import warnings

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectKBest
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import Pipeline

import backlit as bl


def main() -> None:
    """Three uses, one after another."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # thirty epochs are enough here
    X, y = load_breast_cancer(return_X_y=True)  # (569, 30), (569,)
    train, test, train_y, test_y = train_test_split(X, y, stratify=y, random_state=0)

    net = bl.Classifier((30,), learning_rate_init=0.01, max_iter=30, random_state=0)
    scores = cross_val_score(net, train, train_y, cv=5)
    print(f"five folds: accuracy {scores.mean():.3f}, from {scores.min():.3f} to {scores.max():.3f}")

    pipeline = Pipeline([("select", SelectKBest(k=15)), ("net", net)])
    grid = {
        "select__k": [10, 30],
        "net__alpha": np.logspace(-4, 0, 2),
        "net__optimizer": [None, bl.AdamW(lr=0.01, weight_decay=0.1)],
    }
    search = GridSearchCV(pipeline, grid, cv=3).fit(train, train_y)
    found = {name: str(value) for name, value in search.best_params_.items()}
    print(f"best of {len(search.cv_results_['params'])} settings: {found}")
    print(f"on rows that nothing has seen: accuracy {search.score(test, test_y):.3f}")

    for answer, p in zip(test_y[:3], search.predict_proba(test[:3]), strict=True):
        print(f"benign with p = {p[1]:.3f}, in truth {'benign' if answer else 'malignant'}")


if __name__ == "__main__":
    main()
