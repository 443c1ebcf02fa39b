"""What happened, told to a human: which events, in which words, by which way, and what waits to be sent."""
