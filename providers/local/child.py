"""The child process: loads the weights, says its port in one line of JSON, serves while its parent lives."""

import argparse
import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import xllamacpp

MODEL_NAME = "smollm2-135m-instruct"

_ERRORS_ONLY = 1
_PROMPT_BATCH_TOKENS = 128


def main() -> None:
    """Serve llama.cpp's OpenAI-compatible HTTP API on 127.0.0.1; end at the end of stdin or on SIGTERM."""
    options = _parse_options()
    # A parent may ignore SIGTERM, and what is ignored stays ignored in its children.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ready_line = _take_stdout()
    threading.Thread(target=_end_with_parent, name="watch-stdin", daemon=True).start()
    server = _start_server(options)
    port = urlsplit(str(server.listening_address)).port
    os.write(ready_line, json.dumps({"port": port}).encode() + b"\n")
    threading.Event().wait()


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m providers.local.child", description=__doc__)
    parser.add_argument("--model", required=True, help="path of the GGUF file")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--slots", type=int, default=2, help="answers written at the same time")
    parser.add_argument(
        "--context", type=int, default=4096, help="tokens per slot, prompt and answer together"
    )
    return parser.parse_args()


def _take_stdout() -> int:
    # Whatever the C++ code prints goes to the log, so that stdout carries nothing but the ready line.
    ready_line = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return ready_line


def _end_with_parent() -> None:
    # Loading holds the GIL: a parent that dies meanwhile is noticed up to a load time (about 1 s) later.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(0)


def _start_server(options: argparse.Namespace) -> "xllamacpp.Server":
    import xllamacpp  # after the watchdog has started

    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.model_alias = {MODEL_NAME}
    params.port = 0
    params.n_parallel = options.slots
    params.n_ctx = options.slots * options.context
    params.fit_params = False
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    # All slots wait while one batch of a prompt is read: 6.3 s with the default of 2048 tokens, 0.9 s with
    # 128, at the same prompt speed.
    params.n_batch = params.n_ubatch = _PROMPT_BATCH_TOKENS
    # The default keeps up to 8 GiB of old prompts in memory.
    params.cache_ram_mib = 0
    # Web pages open on this machine may not read answers, and there is no page of its own to serve.
    params.cors_origins, params.cors_origins_explicit, params.cors_credentials = "", True, False
    params.ui = params.endpoint_slots = False
    params.verbosity = _ERRORS_ONLY
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
