"""Wire to core and back, and nothing else."""
