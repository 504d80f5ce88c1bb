"""`python -m orchestrator_worker`: the same as the `orchestrator-worker` command."""

import sys

from orchestrator_worker.cli.main import main

sys.exit(main())
