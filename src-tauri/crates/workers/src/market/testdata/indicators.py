"""Writes the reference values that the indicators are held to, computed by TA-Lib itself.

    python3 -m venv venv && venv/bin/pip install TA-Lib==0.8.2
    venv/bin/python indicators.py

Three invented series, none of them anybody's prices:
  walk   420 bars of a random walk with bursts of volatility
  gaps   300 bars in cents, with jumps between bars, stretches without a trade and bars without volume
  short   28 bars: too few for most indicators
A value that TA-Lib does not give (its warm-up) is an empty field.
"""
import random
import numpy
import talib


def series(name, bars, start, step, tick):
    dice = random.Random(name)
    close, out, burst = start, [], 1.0
    for n in range(bars):
        burst = max(0.4, min(4.0, burst * dice.uniform(0.85, 1.18)))
        flat = name == "gaps" and (80 <= n < 100 or 200 <= n < 204 or n < 18)
        opened = close
        if name == "gaps" and n % 47 == 46:
            opened = close * dice.choice([0.6, 0.8, 1.3, 1.9])
        closed = opened if flat else opened * (1 + dice.gauss(0.0003, step) * burst)
        opened, closed = (max(tick, round(round(v / tick) * tick, 4)) for v in (opened, closed))
        high, low = max(opened, closed), min(opened, closed)
        if not flat:
            high = round(high + tick * dice.randint(0, 6), 4)
            low = max(tick, round(low - tick * dice.randint(0, 6), 4))
        volume = 0 if flat or (name == "gaps" and n % 13 == 5) else dice.randint(1_000, 9_000_000)
        out.append((opened, high, low, closed, volume))
        close = closed
    return out


for name, bars, start, step, tick in [
    ("walk", 420, 41.5, 0.012, 0.01),
    ("gaps", 300, 0.185, 0.03, 0.001),
    ("short", 28, 7.2, 0.01, 0.005),
]:
    rows = series(name, bars, start, step, tick)
    high, low, close, volume = (numpy.array([r[i] for r in rows], float) for i in (1, 2, 3, 4))
    macd = talib.MACD(close, 12, 26, 9)
    bands = talib.BBANDS(close, 20, 2.0, 2.0, 0)
    columns = {
        "high": high, "low": low, "close": close, "volume": volume,
        "sma20": talib.SMA(close, 20), "sma50": talib.SMA(close, 50), "sma200": talib.SMA(close, 200),
        "ema20": talib.EMA(close, 20), "rsi14": talib.RSI(close, 14),
        "macd": macd[0], "macd_signal": macd[1], "macd_histogram": macd[2],
        "upper": bands[0], "middle": bands[1], "lower": bands[2],
        "atr14": talib.ATR(high, low, close, 14), "obv": talib.OBV(close, volume),
    }
    with open(f"indicators_{name}.csv", "w", encoding="ascii", newline="\n") as file:
        file.write(",".join(columns) + "\n")
        for n in range(len(rows)):
            file.write(",".join("" if numpy.isnan(c[n]) else repr(float(c[n])) for c in columns.values()) + "\n")
