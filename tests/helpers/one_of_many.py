"""One process of several that train a grid together: the command, with a shorter heartbeat.

python tests/helpers/one_of_many.py --coordinator=HOST:PORT --process=I/N --config=... --workdir=...
"""

import sys

from sparsity_jax import main
from sparsity_jax.distributed import processes as hosts

hosts.HEARTBEAT_SECONDS = 10

if __name__ == "__main__":
    sys.exit(main.main())
