"""Has every token a row? Looked at before training, on the host: a compiled program cannot complain."""

from typing import Any

import numpy as np

from backlit.errors import BacklitError, DataError, TokenError
from backlit.layers.embedding import how_to_mend
from backlit.protocol import Context, Layer, Tree


def check_tokens(net: Layer, params: Tree, state: Tree, x: Any, name: str = "x") -> None:
    """DataError, with the row, the place and the token, when x (N, ...) holds one that an Embedding has no row for.

    For before a training: the smallest and the largest token of every place, two rows, go through the net on NumPy.
    Which place is at fault is then found by trying one at a time, so it does not matter how the net routes its input.

    >>> import numpy as np, backlit as bl
    >>> from backlit.layers.tokens import check_tokens
    >>> net = bl.Chain(bl.Embedding(size=5, units=2), bl.Flatten())
    >>> _, params, state = net.init(bl.random.key(0), (3,))
    >>> check_tokens(net, params, state, np.array([[0, 1, 2], [3, 5, 4]]))
    Traceback (most recent call last):
    backlit.errors.DataError: x: row 1, step 1 (from 0): expected a token 0..4 (embedding_1 has 5 rows), got 5; write size=6
    """
    x = np.asarray(x)
    if x.dtype.kind not in "iu":
        return
    extremes = np.stack([x.min(axis=0), x.max(axis=0)])  # (2, ...)
    wrong = _outside(net, params, state, extremes)
    if wrong is None:
        return
    for index in map(tuple, np.argwhere((extremes == wrong.token).any(axis=0))):
        probe = np.zeros_like(extremes[:1])  # (1, ...): 0 is a row of every table
        probe[(0, *index)] = wrong.token
        if _outside(net, params, state, probe) is not None:
            break
    row = int(np.argmax(x[(slice(None), *index)] == wrong.token))
    place = f"step {index[0]}" if len(index) == 1 else f"place {tuple(map(int, index))}"
    of = f"a token 0..{wrong.size - 1} ({wrong.path or 'Embedding'} has {wrong.size} rows), got {wrong.token}"
    raise DataError(f"{name}: row {row}, {place} (from 0): expected {of}; {how_to_mend(wrong.token)}")


def _outside(net: Layer, params: Tree, state: Tree, x: Any) -> TokenError | None:
    try:
        net.forward(params, state, x, Context())
    except TokenError as error:
        return error
    except BacklitError:
        return None  # a layer that NumPy cannot run
    return None
