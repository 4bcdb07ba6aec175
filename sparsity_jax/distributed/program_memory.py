"""Memory mappings of compiled programs, which Linux limits for each process.

On a CPU, XLA puts every compiled program into about ten mappings of its own, and JAX keeps every
program. A pruned network has programs that no other network shares: about a thousand mappings for
a run. Beyond `vm.max_map_count`, mostly 65,530, the next compilation crashes the interpreter.
"""

from __future__ import annotations

from pathlib import Path

import jax

_MAPPINGS = Path("/proc/self/maps")
_LIMIT = Path("/proc/sys/vm/max_map_count")


def release_programs(share: float = 0.5) -> bool:
    """Drop JAX's compiled programs if this process has used up its share of memory mappings.

    Results stay the same: what is needed again is compiled again, or read from JAX's persistent
    cache. Nothing happens where the system does not tell its mappings (only Linux does).

    Args:
      share: of the mappings that Linux allows, from 0 to 1.

    Returns:
      Whether they were dropped.

    Example:
      >>> release_programs(share=1.0)
      False
    """
    try:
        limit = int(_LIMIT.read_text(encoding="ascii"))
        with _MAPPINGS.open("rb") as lines:
            used = sum(1 for _ in lines)
    except OSError:
        return False
    if used <= share * limit:
        return False
    jax.clear_caches()
    return True
