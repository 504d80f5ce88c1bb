"""The `orchestrator-worker` command."""
