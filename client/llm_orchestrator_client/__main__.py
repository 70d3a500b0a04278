"""`python -m llm_orchestrator_client`: the command `orchestrator`."""

import sys

from llm_orchestrator_client.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
