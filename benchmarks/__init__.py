"""Side-by-side measurements, one command each; see README.md."""

import os

# Before numpy is imported: peers use one thread, and threads of a busy machine wait for each other in small systems.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
