"""Bugs on purpose, to see that the checker bites: each is a patch of the desk's code, undone afterwards.

A campaign under each of them must report a violation within some schedules; tests/campaign/test_bites.py says within how many.
"""


