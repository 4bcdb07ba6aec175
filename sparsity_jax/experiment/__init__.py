"""The story of one command: train, measure, prune, report."""
