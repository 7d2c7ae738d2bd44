"""Mean speed by zone with joblib: the same cutting and combining, friendlier workers."""

from pathlib import Path

import pandas as pd
from joblib import Parallel, delayed


def part(path):
    trips = pd.read_parquet(path).query("distance > 0")
    return (trips.distance / trips.hours).groupby(trips.zone).agg(["count", "sum"])


if __name__ == "__main__":
    parts = Parallel(n_jobs=-1)(delayed(part)(path) for path in sorted(Path("trips").glob("*.parquet")))
    total = pd.concat(parts).groupby("zone").sum()
    for zone, row in total.iterrows():
        print(zone, row["sum"] / row["count"])
