"""What is kept: checkpoints, records, models, and the workdir they lie in."""
