"""One process of several that train a grid together: a shorter heartbeat, a report of no pictures.

python tests/helpers/one_of_many.py --coordinator=HOST:PORT --process=I/N --config=... --workdir=...
"""

import sys

from sparsity_jax import main, report
from sparsity_jax.distributed import processes as hosts

hosts.HEARTBEAT_SECONDS = 10
report.build = lambda folder: folder / "report.html"
report.table = lambda folder: ""

if __name__ == "__main__":
    sys.exit(main.main())
