"""What `bench/in_diffusion/__main__.py` measures of the detectors inside a drawing, one question a file."""
