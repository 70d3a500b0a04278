"""A pytest plugin that comes before any that imports grpc: its handlers of forks are off, in every worker.

A child that a test starts with a `preexec_fn` would get a poller's thread of grpc between fork and exec, and
abort when its files are closed (grpc/grpc#43055).
"""

import os

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
