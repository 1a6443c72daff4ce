"""What every command shares: its command line, exit statuses, one-line errors, signals, and where a relative `--out` lies.

Light to import: a command is parsed before torch, Ray or DuckDB are loaded.
"""

from jobs.command.flags import Command, LocalCommand, ScatteredCommand
from jobs.command.paths import resolve_out
from jobs.command.run import BAD_INPUT, DONE, FAILED, QUARANTINED, report, run_command, say, tell_root, warn

__all__ = [
    "BAD_INPUT",
    "DONE",
    "FAILED",
    "QUARANTINED",
    "Command",
    "LocalCommand",
    "ScatteredCommand",
    "report",
    "resolve_out",
    "run_command",
    "say",
    "tell_root",
    "warn",
]
