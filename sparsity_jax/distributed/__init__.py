"""Many processes: who this one is, its shard of the runs, how they stop together."""
