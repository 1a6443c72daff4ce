"""What `bench/world/__main__.py` measures of the embedded world's committed weights, one question a file."""
