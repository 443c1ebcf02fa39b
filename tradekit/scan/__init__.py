"""From a panel to candidates: one filter a file, pure numpy, the same for a scan and a backtest."""
