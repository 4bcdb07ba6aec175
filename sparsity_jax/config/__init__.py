"""What can be set: fields and their checks, grids of runs, names."""
