"""A trading desk made of commands."""

__version__ = "0.1.0"
