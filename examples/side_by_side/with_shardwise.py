"""Mean speed by zone with Shardwise, on whatever engine the first argument names."""

import sys

import shardwise as sw

if __name__ == "__main__":
    engine, *run_dir = sys.argv[1:] or ["auto"]
    trips = sw.read_parquet("trips/*.parquet").filter("distance > 0").with_columns(speed="distance / hours")
    job = trips.group_by("zone").aggregate(speed=sw.mean("speed"))
    for row in job.run(engine=engine, run_dir=run_dir[0] if run_dir else None).to_pylist():
        print(row["zone"], row["speed"])
