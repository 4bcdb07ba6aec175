"""Object classes and their instances.

The 30 ObjectNet3D classes of the paper, as procedural meshes instead of CAD models: every random
generator gives another instance of a class, with other proportions and other parts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sparsity_jax.data.renderings.meshes.belongings import (
    eyeglasses,
    guitar,
    racket,
    shoe,
    suitcase,
)
from sparsity_jax.data.renderings.meshes.craft import aeroplane, boat
from sparsity_jax.data.renderings.meshes.furniture import (
    bed,
    bench,
    bookshelf,
    chair,
    piano,
    sofa,
    tub,
)
from sparsity_jax.data.renderings.meshes.gadgets import (
    camera,
    clock,
    fan,
    flashlight,
    headphone,
    keyboard,
    laptop,
)
from sparsity_jax.data.renderings.meshes.mesh import Mesh, normalised
from sparsity_jax.data.renderings.meshes.vehicles import bicycle, bus, train, wheelchair
from sparsity_jax.data.renderings.meshes.vessels import jar, kettle, teapot, toaster, trophy

# In order of use: n classes are the first n. The first ten look least like one another.
BUILDERS: dict[str, Callable[[np.random.Generator], Mesh]] = {
    builder.__name__: builder
    for builder in (
        chair,
        aeroplane,
        bicycle,
        bus,
        guitar,
        teapot,
        laptop,
        eyeglasses,
        bed,
        fan,
        bookshelf,
        boat,
        shoe,
        clock,
        suitcase,
        camera,
        trophy,
        headphone,
        piano,
        wheelchair,
        sofa,
        racket,
        jar,
        keyboard,
        train,
        toaster,
        tub,
        flashlight,
        bench,
        kettle,
    )
}
CLASS_NAMES: tuple[str, ...] = tuple(BUILDERS)


def make_mesh(name: str, rng: np.random.Generator) -> Mesh:
    """One random instance of a class, in the unit sphere, up is +z.

    Args:
        name: one of CLASS_NAMES.
        rng: decides all proportions; the same state gives the same mesh.

    Returns:
        A `Mesh` of some hundred triangles.

    Example:
        >>> mesh = make_mesh("chair", np.random.default_rng(0))
        >>> float(np.abs(mesh.vertices).max()) <= 1.0
        True
    """
    return normalised(BUILDERS[name](rng))
