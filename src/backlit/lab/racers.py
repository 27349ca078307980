"""Which update rules race where: all that backlit.optim has, but for those with a reason to stay away."""

import dataclasses

from backlit import optim as _optim  # noqa: F401  (it loads every rule)
from backlit.optim.rules import Rule
from backlit.optim.second_order.base import SecondOrder
from backlit.settings import known

FEW_NUMBERS = {
    "AdamW": "is Adam where nothing decays, and decay pulls to the origin",
    "LARS": "scales its step by the length of a weight array, which a point on a surface is not",
    "LAMB": "scales its step by the length of a weight array, which a point on a surface is not",
    "Adafactor": "scales its step by the size of a weight array, and factors matrices",
    "Muon": "needs matrices",
    "Shampoo": "needs matrices",
    "SOAP": "needs matrices",
    "Adam8bit": "keeps arrays of few numbers in full: Adam",
    "AdamW8bit": "keeps arrays of few numbers in full: AdamW",
    "ScheduleFreeAdamW": "is shown by ScheduleFreeSGD: an average over the way",
    "GaussNewton": "needs outputs and a loss; a surface is a plain function",
    "LevenbergMarquardt": "needs outputs and a loss; a surface is a plain function",
}
"""Rules that do not race on surfaces of two numbers, and why."""

POPULATION = {
    "Shampoo": "decomposes a matrix of 784 rows for every member of the population",
    "SOAP": "decomposes a matrix of 784 rows for every member of the population",
    "Adam8bit": "follows Adam's path with less memory",
    "AdamW8bit": "follows AdamW's path with less memory",
}
"""Rules that are not trained in the population, and why. Nor are those that ask for the loss elsewhere."""

SHOWN = ("SGD", "Momentum", "Nesterov", "AdaGrad", "RMSProp", "Adam", "Lion")
"""Rules whose curves are coloured; with `quick` only these race."""


def all_rules() -> dict[str, Rule]:
    """Each final rule of backlit.optim with its defaults, in the order of their files."""
    found = {}
    for name, cls in known(Rule).items():  # type: ignore[type-abstract]
        ours = cls.__module__.startswith("backlit.optim.") and name == cls.__name__
        if ours and all(_has_default(f) for f in dataclasses.fields(cls)):
            found[name] = cls()
    return found


def of_surfaces(quick: bool = False) -> dict[str, Rule]:
    """First-order rules, and those that look at the curvature now and then: each races with many learning rates."""
    every = {n: r for n, r in all_rules().items() if n not in FEW_NUMBERS and not isinstance(r, SecondOrder)}
    return {n: every[n] for n in SHOWN} if quick else dict(sorted(every.items(), key=lambda item: item[1].asks))


def of_curvature() -> dict[str, Rule]:
    """Second-order rules, which come with a step of their own; Newton's method plain and with |eigenvalues|."""
    found = {n: r for n, r in all_rules().items() if n not in FEW_NUMBERS and isinstance(r, SecondOrder)}
    found["Newton, saddle-free"] = dataclasses.replace(found["Newton"], saddle_free=True)  # type: ignore[call-arg]
    found["HessianFree"] = dataclasses.replace(found["HessianFree"], curvature="hessian")  # type: ignore[call-arg]
    return dict(sorted(found.items()))


def of_population(quick: bool = False) -> dict[str, Rule]:
    """Rules that need no more than gradients."""
    every = {n: r for n, r in all_rules().items() if n not in POPULATION and not r.asks}
    return {n: every[n] for n in SHOWN} if quick else every


def _has_default(field: "dataclasses.Field[object]") -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
