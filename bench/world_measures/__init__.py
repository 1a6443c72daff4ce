"""What `bench/world.py` measures of the embedded world's committed weights, one question a file."""
