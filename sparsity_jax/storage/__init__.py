"""Files of a workdir: checkpoints, records, results, measurements, networks."""
