"""The commands and the recipes. Whatever of them is imported first, the number of threads is set before torch is loaded."""

import os

from pipeline.engines.threads import VARIABLE, limit_threads

THREADS_ARE_SET = bool(os.environ.get(VARIABLE))
"""Whether the caller chose the number of threads."""

limit_threads()
