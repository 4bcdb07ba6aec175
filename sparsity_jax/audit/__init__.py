"""Checkpoints of other people's programs: which of their filters are dead."""
