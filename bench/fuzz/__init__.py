"""Campaigns of mutated inputs against every door through which other people's bytes come in."""
