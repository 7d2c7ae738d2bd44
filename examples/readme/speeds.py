import shardwise as sw

trips = sw.read_parquet("trips/*.parquet")
job = (
    trips.filter("distance > 0")
    .with_columns(speed="distance / hours")
    .group_by("zone")
    .aggregate(sw.count(), avg=sw.mean("speed"), p95=sw.approx_quantile("speed", 0.95))
)

if __name__ == "__main__":
    print(job.run(engine="local:2", memory="1GB", run_dir="speeds-run"))
