"""Make a statement of N fills over ten years, 500 symbols side by side: _statement.py FILE FILLS FILLS_PER_TRIP."""

import csv
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path

SYMBOLS, SESSIONS, FIRST = 500, 2520, datetime(2015, 1, 5, 9, 30)


def main(path: Path, fills: int, per_trip: int) -> None:
    """A plain CSV in the order of its times, with the broker's ids; half of a trip's fills buy, half sell."""
    dice = random.Random(1)
    bought = [0] * SYMBOLS
    a_day = -(-fills // SESSIONS)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(("id", "at", "symbol", "side", "qty", "price", "fee"))
        for n in range(fills):
            day, k = divmod(n, a_day)
            at = FIRST + timedelta(days=day + day // 5 * 2, milliseconds=int((k + dice.random()) * 23_400_000 / a_day))
            symbol = dice.randrange(SYMBOLS)
            side = "buy" if bought[symbol] % per_trip < per_trip // 2 else "sell"
            bought[symbol] += 1
            price, fee = dice.randint(1000, 20000) / 100, dice.choice(("0.35", "0.00", "1.00"))
            out.writerow((10_000_000 + n, f"{at:%Y-%m-%d %H:%M:%S.%f}"[:-3], f"S{symbol:03}", side, 100, price, fee))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
