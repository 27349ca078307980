"""Numbers of one size, beside the 0 and 1 of categories."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from backlit.data.cleaning.base import Cleaner, State
from backlit.data.statistics import varying
from backlit.data.table import Kind, Table


@dataclass(frozen=True)
class ScaleNumbers(Cleaner):
    """(x - mean) / std (over N) of the training cells, but a column that holds only 0 and 1 stays as it is.

    `preprocessing: [Standardize]` scales those too: the one in "town=Bonn" of 10 rows in 3000 becomes a 17, and the net
    learns those ten rows by heart. Missing cells stay missing. Others: scikit-learn's ColumnTransformer with StandardScaler
    for the columns of numbers alone.

    >>> import numpy as np
    >>> from backlit.data.cleaning import ScaleNumbers
    >>> from backlit.data.table import Table
    >>> table = Table({"pay": np.array([100.0, 300.0]), "town=Bonn": np.array([0.0, 1.0])})
    >>> step = ScaleNumbers()
    >>> {name: column.tolist() for name, column in step.apply(step.fit(table), table).columns.items()}
    {'pay': [-1.0, 1.0], 'town=Bonn': [0.0, 1.0]}
    """

    takes: ClassVar[tuple[Kind, ...]] = ("number",)

    def fit(self, table: Table) -> State:
        scales = {}
        for name in self.chosen(table):
            cells = table.columns[name][~np.isnan(table.columns[name])]
            if not bool(((cells == 0) | (cells == 1)).all()):
                mean = cells.mean()
                scales[name] = [float(mean), float(varying(cells.std(), mean))]
        return {"scales": scales}

    def apply(self, state: State, table: Table) -> Table:
        scaled = {name: (table.columns[name] - mean) / std for name, (mean, std) in state["scales"].items()}
        return table.changed({**table.columns, **scaled})
