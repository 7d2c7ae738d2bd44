"""Mean speed by zone with Ray: remote functions; on a cluster, ray.init(address)."""

from pathlib import Path

import pandas as pd
import ray


@ray.remote
def part(path):
    trips = pd.read_parquet(path).query("distance > 0")
    return (trips.distance / trips.hours).groupby(trips.zone).agg(["count", "sum"])


if __name__ == "__main__":
    ray.init(_node_ip_address="127.0.0.1", include_dashboard=False, log_to_driver=False)
    parts = ray.get([part.remote(path.resolve()) for path in sorted(Path("trips").glob("*.parquet"))])
    total = pd.concat(parts).groupby("zone").sum()
    for zone, row in total.iterrows():
        print(zone, row["sum"] / row["count"])
