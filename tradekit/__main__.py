"""`python -m tradekit`, the same as `tradekit`."""

from tradekit.cli import main

if __name__ == "__main__":
    main()
