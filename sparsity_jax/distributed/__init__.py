"""Many processes: who this one is, its share of a grid, how they stop together."""
