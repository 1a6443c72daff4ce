"""Trained classifiers behind an HTTP address, in the shapes that moderation teams call already."""
