#!/usr/bin/env python3
"""The figures of docs/capacity.md, computed.

    scripts/durability.py            prints its tables
    scripts/durability.py --check    fails unless the page has them as they are printed

The model and its assumptions stand in the page.
"""

import math
import pathlib
import sys

HOURS_PER_YEAR = 8766.0
CHUNKS, SPARE = 6, 2
PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "capacity.md"


def mean_hours_to_loss(loss_per_hour, repair_per_hour, chunks=CHUNKS, spare=SPARE):
    """Expected time from all chunks there to one lost more than may be: a chain of births and deaths.

    With j chunks lost, another is lost at (chunks - j) x loss_per_hour, and one is made anew at
    j x repair_per_hour. The time to climb one step from j is the usual recursion.
    """
    total = step = 0.0
    for lost in range(spare + 1):
        up, down = (chunks - lost) * loss_per_hour, lost * repair_per_hour
        step = 1 / up + (down / up) * step
        total += step
    return total


def nines(annual_failure_rate, repair_hours, **scheme):
    """Nines of an extent's chance to be there after a year."""
    loss = -math.log1p(-annual_failure_rate) / HOURS_PER_YEAR
    years = mean_hours_to_loss(loss, 1 / repair_hours, **scheme) / HOURS_PER_YEAR
    return -math.log10(-math.expm1(-1 / years))


def repair_hours_for(annual_failure_rate, wanted):
    """The longest repair time with that many nines."""
    low, high = 1e-3, 1e4
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if nines(annual_failure_rate, middle) >= wanted else (low, middle)
    return low


def unavailable(needed, node_availability, nodes=CHUNKS):
    """The chance that fewer than `needed` of the nodes answer."""
    p = node_availability
    return sum(math.comb(nodes, up) * p**up * (1 - p) ** (nodes - up) for up in range(needed))


def table(head, rows):
    line = lambda cells: "| " + " | ".join(cells) + " |"
    return "\n".join([line(head), "|" + "---|" * len(head)] + [line(row) for row in rows])


def durability():
    hours = [0.5, 1, 6, 24, 72, 168]
    rates = [(0.0131, "1.31 %"), (0.04, "4 %"), (0.10, "10 %")]
    rows = [[name] + [f"{nines(rate, h):.1f}" for h in hours] for rate, name in rates]
    return table(["drives lost per year"] + [f"{h:g} h" for h in hours], rows)


def repair():
    rows = []
    for rate, name in [(0.0131, "1.31 %"), (0.04, "4 %")]:
        rows.append([name] + [f"{repair_hours_for(rate, n):.2g} h" for n in (11, 10, 9)])
    return table(["drives lost per year", "11 nines", "10 nines", "9 nines"], rows)


def schemes():
    rows = []
    for name, chunks, spare, cost in [("4+2", 6, 2, "1.5"), ("5+1", 6, 1, "1.2"), ("6+0", 6, 0, "1")]:
        scheme = {"chunks": chunks, "spare": spare}
        rows.append([name, cost] + [f"{nines(0.0131, h, **scheme):.1f}" for h in (1, 6, 24)])
    return table(["scheme", "bytes stored per byte", "1 h", "6 h", "24 h"], rows)


def availability():
    rows = []
    for share in (0.99, 0.995, 0.999):
        cells = [f"{unavailable(needed, share):.1e}" for needed in (4, 5, 6)]
        rows.append([f"{share * 100:g} %"] + cells)
    return table(["each node up", "4 of 6", "5 of 6", "6 of 6"], rows)


def rebuild():
    rows = []
    for mb_per_s in (60, 100, 200, 500):
        rows.append([f"{mb_per_s} MB/s", f"{1e12 / (mb_per_s * 1e6) / 3600:.1f} h", "4 TB"])
    return table(["chunks made anew at", "1 TB takes", "read from the other nodes"], rows)


def main():
    tables = [durability(), repair(), schemes(), availability(), rebuild()]
    if sys.argv[1:] != ["--check"]:
        print("\n\n".join(tables))
        return
    page = PAGE.read_text()
    missing = [text for text in tables if text not in page]
    if missing:
        sys.exit("docs/capacity.md has not these tables:\n\n" + "\n\n".join(missing))


main()
