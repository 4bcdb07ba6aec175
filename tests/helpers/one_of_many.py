"""One process of several that train a grid together: a shorter heartbeat, a report of no pictures.

python tests/helpers/one_of_many.py --coordinator=HOST:PORT --process=I/N --config=... --workdir=...
"""

import sys
import types

report = types.ModuleType("sparsity_jax.report")
report.__dict__.update(build=lambda folder: None, table=lambda folder: "")
sys.modules[report.__name__] = report  # importing the real one costs more than these runs

from sparsity_jax import main  # noqa: E402
from sparsity_jax.distributed import processes  # noqa: E402

processes.HEARTBEAT_SECONDS = 10

if __name__ == "__main__":
    sys.exit(main.main())
