"""Local servers that speak a venue's protocol and misbehave on request (docs/sim.md)."""
