"""The web app of a run: a gallery to look through it, and reviews in which people vote. Nothing is shown before it is asked for."""
