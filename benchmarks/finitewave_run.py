"""One second in finitewave, for `benchmarks.monodomain`: run by an interpreter that has it.

    python finitewave_run.py CASE.npz

Needs numpy and finitewave alone, not kecgi. Prints one line of JSON.
"""

import json
import sys
import time
from importlib.metadata import version

import finitewave
import numpy as np


def main(case: str) -> None:
    given = np.load(case)
    mask = np.pad(given["mask"], 1)
    tissue = finitewave.CardiacTissue(mask.shape)
    tissue.mesh = mask.astype(np.int8)
    model = finitewave.MitchellSchaeffer()
    model.dt, model.dr, model.D_model = map(float, given["step_spacing_diffusivity"])
    model.tau_in, model.tau_out, model.tau_open, model.tau_close, model.u_gate = map(
        float, given["cell"]
    )
    model.cardiac_tissue, model.prog_bar = tissue, False
    model.t_max = model.dt
    model.run(num_of_threads=1)  # compile
    model.u[mask], model.h[mask] = given["v"], given["h"]
    model.t, model.step, model.t_max = 0, 0, float(given["duration_ms"])
    start = time.process_time()
    model.run(initialize=False, num_of_threads=1)
    seconds = time.process_time() - start
    active = float(np.mean(model.u[mask] > 0.5))
    print(json.dumps({"seconds": seconds, "active": active, "version": version("finitewave")}))


if __name__ == "__main__":
    main(sys.argv[1])
