"""Mean speed by zone with Spark's DataFrame; on a cluster, master("spark://host:7077")."""

from pyspark.sql import SparkSession
from pyspark.sql.functions import avg, col

if __name__ == "__main__":
    spark = SparkSession.builder.master("local[*]").config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    trips = spark.read.parquet("trips").filter("distance > 0")
    speed = trips.groupBy("zone").agg(avg(col("distance") / col("hours")).alias("speed")).orderBy("zone")
    for row in speed.collect():
        print(row["zone"], row["speed"])
    spark.stop()
