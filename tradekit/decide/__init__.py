"""From candidates to BUY, WATCH or SKIP: pure rules, no clock, no books."""
