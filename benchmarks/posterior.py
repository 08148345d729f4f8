"""Time of ten draws of an activation map by the posterior that comes with kecgi, and of one.

    KERAS_BACKEND=tensorflow python -m benchmarks.posterior

A heart of 13 551 voxels and 100 electrodes; wall time, median of the calls after the first five.
"""

import json
import statistics
import time

import numpy as np

ROUNDS = 25


def main() -> dict:
    """Measure, print the line of JSON."""
    import keras

    from kecgi.geometry import biventricular, spread_points, vest
    from kecgi.models.pretrained import pretrained

    model = pretrained("activation-posterior")
    voxels = biventricular().voxels_mm.astype("float32")
    electrodes = vest().positions_mm.astype("float32")
    condition = {
        "points_mm": np.concatenate([voxels[spread_points(voxels, model.tokens)], voxels])[None],
        "electrodes_mm": electrodes[None],
        "bspm_mv": np.random.default_rng(0)
        .normal(size=(1, len(electrodes), model.samples))
        .astype("float32"),
    }
    found = {}
    for draws in (1, 10):
        seconds = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            model.sample(condition, draws, seed=0)
            seconds.append(time.perf_counter() - start)
        found[f"draws_{draws}_ms"] = round(1e3 * statistics.median(seconds[5:]), 1)
    result = {
        "backend": keras.backend.backend(),
        "voxels": len(voxels),
        **found,
        "ten_to_one": round(found["draws_10_ms"] / found["draws_1_ms"], 2),
    }
    print(json.dumps(result))
    return result


if __name__ == "__main__":
    main()
