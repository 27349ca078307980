"""Rules that look at the curvature, and the loop that runs them to a minimum: docs/second-order.md."""

from backlit.optim.second_order.bfgs import BFGS
from backlit.optim.second_order.conjugate import NonlinearCG
from backlit.optim.second_order.gauss_newton import GaussNewton, LevenbergMarquardt
from backlit.optim.second_order.hessian_free import HessianFree
from backlit.optim.second_order.lbfgs import LBFGS
from backlit.optim.second_order.line_search import Wolfe
from backlit.optim.second_order.minimize import Minimum, minimize
from backlit.optim.second_order.newton import Newton

__all__ = [
    "BFGS",
    "LBFGS",
    "GaussNewton",
    "HessianFree",
    "LevenbergMarquardt",
    "Minimum",
    "Newton",
    "NonlinearCG",
    "Wolfe",
    "minimize",
]
