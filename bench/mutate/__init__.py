"""Aimed faults in attacks, evaluation, cascade, splits and gate, each of which some test has to catch."""
