"""Whole groups into parts: rows of one patient, household or recording never stand on both sides.

    minimise  sum over parts p and columns k of (have[p, k] - wish[p, k])^2 / total[k]

Columns are the rows and, stratified, the rows of each class. Which groups reach the optimum is a problem of packing; here
each group, in the order given, goes where most is wanting, and then groups are moved and exchanged as long as that helps.
Others: scikit-learn's GroupShuffleSplit takes a fraction of the groups, whatever their sizes; its StratifiedGroupKFold deals
the groups of the most uneven classes first, and exchanges none.
"""

import numpy as np

from backlit.errors import DataError

TRIED, ROUNDS = 200, 100
"""How many groups, the smallest, are moved and exchanged, and how often at most: the small ones fill the last gaps."""


def deal_groups(groups: np.ndarray, labels: np.ndarray | None, sizes: np.ndarray) -> np.ndarray:
    """The part of each row, whole groups in each part; `sizes` (P,) are the rows each is to have, 0 for no part.

    groups (N,) names or numbers; labels (N,) 0..K-1 or None. Errors: DataError with fewer groups than parts.

    >>> import numpy as np
    >>> from backlit.data.grouping import deal_groups
    >>> np.bincount(deal_groups(np.array(["a", "a", "b", "c", "b", "d"]), None, np.array([4, 2]))).tolist()
    [4, 2]
    """
    names, number = numbered(groups)
    wanted = np.flatnonzero(sizes)
    if len(names) < len(wanted):
        text = f"expected at least a group for each of the {len(wanted)} parts, got {len(names)}"
        raise DataError(f"groups: {text}; use fewer parts or smaller groups")
    table = np.bincount(number)[:, None].astype(np.float64)  # (G, 1)
    if labels is not None:
        joint = np.bincount(number * (labels.max() + 1) + labels, minlength=len(names) * (labels.max() + 1))
        table = np.concatenate([table, joint.reshape(len(names), -1)], axis=1)  # (G, 1 + K)
    total = np.maximum(table.sum(axis=0), 1.0)
    scaled = table / np.sqrt(total)  # squares of these are squares over totals
    wish = np.outer(sizes[wanted] / sizes.sum(), scaled.sum(axis=0))
    part = _greedy(scaled, wish)
    _improve(scaled, wish, part)
    return np.asarray(wanted[part][number])


def numbered(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The names in the order in which they first occur, and the number of each row's group.

    >>> numbered(np.array(["b", "a", "b"]))[1].tolist()
    [0, 1, 0]
    """
    names, first, number = np.unique(groups, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return names[order], place[number.reshape(-1)]


def between(groups: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The part of each row, rows as they stand in time: each cut is the place nearest to `sizes` that parts no group.

    Errors: DataError where there is no such place: groups that last from beginning to end.
    """
    _, number = numbered(groups)
    last = np.empty(number.max() + 1, dtype=np.int64)
    last[number] = np.arange(len(number))
    ends = np.maximum.accumulate(last[number])  # the row until which the groups that have begun go on
    free = np.flatnonzero(ends[:-1] == np.arange(len(number) - 1)) + 1  # before these rows no group goes on
    wanted = np.flatnonzero(sizes)
    cuts: list[int] = []
    for cut in np.cumsum(sizes[wanted])[:-1]:
        later = free[free > (cuts[-1] if cuts else 0)]
        if not len(later):
            text = f"expected {len(wanted) - 1} moments at which no group goes on, to cut the rows in time, got {len(cuts)}"
            raise DataError(f"groups: {text}; leave the groups out, or use fewer parts")
        cuts.append(int(later[np.argmin(np.abs(later - cut))]))
    return np.asarray(wanted[np.searchsorted(cuts, np.arange(len(number)), side="right")])


def _greedy(table: np.ndarray, wish: np.ndarray) -> np.ndarray:
    """(G,) the part of each group: where most of what it holds is wanting; the last ones go to parts without any."""
    need, filled = wish.copy(), np.zeros(len(wish), dtype=bool)
    part = np.empty(len(table), dtype=np.int64)
    for i, row in enumerate(table):
        gain = need @ row
        if len(table) - i <= (~filled).sum():
            gain = np.where(filled, -np.inf, gain)
        best = int(np.argmax(gain))
        part[i], filled[best] = best, True
        need[best] -= row
    return part


def _improve(table: np.ndarray, wish: np.ndarray, part: np.ndarray) -> None:
    """Move a group or exchange two, whichever brings most, until nothing does; no part is emptied."""
    small = np.argsort(table[:, 0], kind="stable")[:TRIED]
    excess = np.stack([table[part == p].sum(axis=0) for p in range(len(wish))]) - wish
    # Moving d from p to q changes the sum by 2 |d|^2 + 2 d (excess_q - excess_p); a move is an exchange with nothing.
    gone = np.concatenate([table[small], np.zeros((1, table.shape[1]))])
    for _ in range(ROUNDS):
        home = part[small]
        alone = np.bincount(part, minlength=len(wish))[home] == 1
        best = (-1e-12, 0, 0, 0)
        for q in range(len(wish)):
            partners = np.append(np.flatnonzero(home == q), len(small))
            movers = np.flatnonzero(home != q)
            if not len(movers):
                continue
            d = gone[movers][:, None] - gone[partners][None]  # (movers, partners, columns)
            tilt = (excess[q] - excess[home[movers]])[:, None]
            change = 2 * (d * (d + tilt)).sum(axis=2)
            change[alone[movers], -1] = np.inf
            at = np.unravel_index(int(np.argmin(change)), change.shape)
            if change[at] < best[0]:
                best = (float(change[at]), q, int(movers[at[0]]), int(partners[at[1]]))
        if not best[0] < -1e-12:
            return
        _, q, i, j = best
        p, moved = home[i], gone[i] - gone[j]
        part[small[i]] = q
        if j < len(small):
            part[small[j]] = p
        excess[q] += moved
        excess[p] -= moved
