"""For every test, notebooks included: figures are compared with the stored ones, and two workers share the cores."""

import os

# Scripts that the notebooks are made from, and notebooks that are not yet answered.
collect_ignore_glob = ["notebooks/source/*", "notebooks/assignments/*"]

# Kernels inherit these, so that plain `pytest --nbval notebooks` makes every figure again and compares it.
os.environ.setdefault("NCSN_EDU_FIGURES", "check")
os.environ.setdefault("NCSN_EDU_PROGRESS", "0")

if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    # Set before torch is imported: workers that each use every core wait for one another most of the time.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
