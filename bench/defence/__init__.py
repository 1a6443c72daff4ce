"""What `bench/defence/__main__.py` is made of: its data, and its figures."""
