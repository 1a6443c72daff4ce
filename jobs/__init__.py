"""The commands and the recipes. Whatever of them is imported first, the number of threads is set before torch is loaded."""

from pipeline.engines.threads import limit_threads

limit_threads()
