"""The command line."""

from skillsengine.cli.app import main

__all__ = ["main"]
