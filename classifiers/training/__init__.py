"""Training a classifier on a run's shards: what is learnt from, the loop, what is attacked on the way, what is kept."""
