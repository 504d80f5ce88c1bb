"""A team of Claude agents behind one OpenAI-compatible endpoint."""

__version__ = "0.1.0"
