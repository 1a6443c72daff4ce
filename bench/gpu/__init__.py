"""The main job on an accelerator beside loops that one would write by hand: `make bench-gpu`."""
