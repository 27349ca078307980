"""Numbers far from all others, brought back."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Interval

from backlit.data.cleaning.base import Cleaner, State, named
from backlit.data.table import Kind, Table
from backlit.errors import SettingError
from backlit.settings import Positive


@dataclass(frozen=True)
class ClipOutliers(Cleaner):
    """min(max(x, low), high), with limits from the training cells; missing cells stay missing.

    method  "quantile": the quantiles `limits`; "iqr": [q1 - w (q3 - q1), q3 + w (q3 - q1)], w = 1.5 unless `width` says
            otherwise; "std": mean -+ w std (over N), w = 3
    A column whose quartiles, or all cells, are equal has no spread to measure and stays as it is.
    Source: Tukey 1977, "Exploratory data analysis", section 2C (iqr).

    >>> import numpy as np
    >>> from backlit.data.cleaning import ClipOutliers
    >>> from backlit.data.table import Table
    >>> table = Table({"pay": np.array([1.0, 2.0, 3.0, 4.0, 900.0])})
    >>> step = ClipOutliers("iqr")
    >>> step.apply(step.fit(table), table).columns["pay"].tolist()
    [1.0, 2.0, 3.0, 4.0, 7.0]
    """

    takes: ClassVar[tuple[Kind, ...]] = ("number",)
    method: Literal["quantile", "iqr", "std"] = "quantile"
    limits: tuple[Annotated[float, Interval(ge=0, le=1)], Annotated[float, Interval(ge=0, le=1)]] = (0.01, 0.99)
    width: Positive | None = None

    def check(self) -> None:
        if not self.limits[0] < self.limits[1]:
            raise SettingError([("limits", f"expected the lower quantile first, got {list(self.limits)}")])
        if self.method == "quantile" and self.width is not None:
            raise SettingError([("width", "expected none with method quantile, which takes limits")])

    def fit(self, table: Table) -> State:
        limits, clipped = {}, {}
        for name in self.chosen(table):
            cells = table.columns[name][~np.isnan(table.columns[name])]
            low, high = self._limits(cells) if len(cells) else (0.0, 0.0)
            if low < high:
                limits[name] = [float(low), float(high)]
                clipped[name] = int(((cells < low) | (cells > high)).sum())
        return {"limits": limits, "clipped": {name: count for name, count in clipped.items() if count}}

    def _limits(self, cells: np.ndarray) -> tuple[float, float]:
        if self.method == "quantile":
            low, high = np.quantile(cells, self.limits)
            return float(low), float(high)
        if self.method == "std":
            middle, spread = float(cells.mean()), float(cells.std())
            low, high, width = middle, middle, self.width or 3.0
        else:
            low, high = map(float, np.quantile(cells, (0.25, 0.75)))
            spread, width = high - low, self.width or 1.5
        return low - width * spread, high + width * spread

    def apply(self, state: State, table: Table) -> Table:
        clipped = {name: np.clip(table.columns[name], *limits) for name, limits in state["limits"].items()}
        return table.changed({**table.columns, **clipped})

    def says(self, state: State) -> str:
        clipped = state["clipped"]
        return f"clipped {sum(clipped.values())} training cells of {named(list(clipped))}" if clipped else ""
