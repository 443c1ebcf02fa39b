"""Venues behind one protocol: brokers/base.py says what a broker is."""
