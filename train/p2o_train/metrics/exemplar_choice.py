"""How good a chosen exemplar is, beyond being the nearest one or not."""

import numpy as np

from points2objects.geometry import FloatArray


def exemplar_rank(soft_labels: FloatArray, nearest: int, chosen: int) -> float:
    """Return the place of an exemplar in the order of SDF distance to the true model, from 1.

    Eq. 5's targets fall with the distance, but are all 0 beyond its radius. Exemplars of one
    target share the mean of their places, so that blind choice comes to (k + 1) / 2 on average.

    Args:
        soft_labels: Targets of the true model towards the exemplars of its class, (k,), 0..1.
        nearest: Index of its nearest exemplar among them, which has place 1.
        chosen: Index of the chosen one.
    """
    if chosen == nearest:
        return 1.0
    others = np.delete(soft_labels, nearest)
    own = soft_labels[chosen]
    nearer, tied = int((others > own).sum()), int((others == own).sum())
    return 1.0 + nearer + (tied + 1) / 2
