"""Bars and quotes: the store, what is known when, panels, imports, a synthetic market."""
