"""Ceph 16, Debian's own, as one monitor, one OSD in memory and one radosgw: S3 verified by a C++ program not of ours.

It needs no systemd, no root and nothing under /etc or /var. The bucket gets the documents of `gateway.s3.documents`,
but not by `gateway.cli.provision`, since Ceph 16 lacks these:

* IAM: users are made by `radosgw-admin`; their policies can be set, if the JSON in the form has no spaces.
* The policies of users count for all but form POSTs, so the bucket's policy lets the gateway's user put as well.
* Ownership controls: InvalidArgument. The one who uploads owns the object, so the admin needs a policy as well.
* BlockPublicAcls refuses every PUT without `x-amz-acl`; BlockPublicPolicy and RestrictPublicBuckets take any policy
  that allows something for a public one. IgnorePublicAcls works.
"""

import json
import os
import secrets
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.child import Child, StartError, spawn
from gateway.cli.provision import AccessKey, iam_client, s3_client
from gateway.s3 import documents
from tests.servers.nginx import free_port
from tests.servers.s3 import ORIGINS, REGION, S3Server

BUCKET = "gateway-test"
READY_WITHIN = 60.0  # seconds for each daemon; below 5 are usual
PATIENCE = 60.0  # seconds that a command of Ceph may take
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}

CONFIGURATION = """\
[global]
fsid = {fsid}
mon_host = v1:127.0.0.1:{monitor_port}
public_network = 127.0.0.0/8
ms_bind_msgr2 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
# Seconds to wait for more changes before the monitor agrees to some: with its 1.0, to start takes 14 s and not 2.
paxos_propose_interval = 0.05
run_dir = {folder}/run
admin_socket = {folder}/run/$name.asok
pid_file = {folder}/run/$name.pid
log_file = {folder}/$name.log
crash_dir = {folder}/crash
[mon]
mon_data = {folder}/mon
mon_initial_members = a
[osd]
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
# Left on, either asks the monitor before the OSD knows the cluster's id, and now and then ends with "wrong fsid".
osd_crush_update_on_start = false
osd_class_update_on_start = false
osd_class_load_list = *
osd_class_default_list = *
[client.rgw.a]
rgw_frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw_data = {folder}/rgw
# These threads keep radosgw from stopping within ten seconds.
rgw_enable_lc_threads = false
# Without STS any session token is taken for a good one.
rgw_s3_auth_use_sts = true
rgw_sts_key = sixteen-bytes-ok
"""


@contextmanager
def running(folder: Path) -> Iterator[S3Server]:
    """Run it with its state in `folder`."""
    port = free_port()
    cluster = Cluster(folder, port)
    with ExitStack() as daemons:  # the last one started stops first: radosgw, OSD, monitor
        cluster.start(daemons)
        yield _prepared(f"http://127.0.0.1:{port}", cluster.make_user("admin"), cluster.make_user("gateway"))


@dataclass(frozen=True, slots=True)
class Cluster:
    """What runs in a folder, and how to speak to it; radosgw listens on `port`."""

    folder: Path
    port: int

    def start(self, daemons: ExitStack) -> None:
        """Start monitor, OSD and radosgw, each after the one it needs; `daemons` stops them."""
        fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
        self._configure(fsid)
        self._daemon(daemons, "ceph-mon", "-i", "a")
        self._tell("osd", "create", osd, "0")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._tell("osd", "crush", "add", "osd.0", "1.0", "root=default", "host=localhost")
        self._daemon(daemons, "ceph-osd", "-i", "0")
        self._daemon(daemons, "radosgw", "-n", "client.rgw.a").wait_for(f"http://127.0.0.1:{self.port}", READY_WITHIN)

    def make_user(self, name: str) -> AccessKey:
        """Make a user of radosgw; `admin` may set the policies of users."""
        key = AccessKey(f"AKIA{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30))
        keys = [f"--access-key={key.access_key_id}", f"--secret-key={key.secret_access_key}"]
        rights = "--caps=user-policy=*" if name == "admin" else "--max-buckets=-1"  # -1: none
        self._run("radosgw-admin", "user", "create", f"--uid={name}", f"--display-name={name}", *keys, rights)
        return key

    def _configure(self, fsid: str) -> None:
        for name in ("mon", "osd", "run", "rgw", "crash"):
            (self.folder / name).mkdir(parents=True)
        monitor_port = free_port()
        text = CONFIGURATION.format(fsid=fsid, folder=self.folder, monitor_port=monitor_port, port=self.port)
        (self.folder / "ceph.conf").write_text(text)
        monmap = str(self.folder / "monmap")
        address = f"[v1:127.0.0.1:{monitor_port}]"
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, monmap)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap)

    def _daemon(self, daemons: ExitStack, *command: str) -> Child:
        child = spawn([*self._command(command), "-f"], env=os.environ, log=self.folder / f"{command[0]}.out")
        daemons.callback(child.stop)
        return child

    def _tell(self, *command: str) -> None:
        """Tell the monitor: for a moment it takes whoever does not know the cluster's id yet for a stranger (EPERM)."""
        deadline = time.monotonic() + READY_WITHIN
        while True:
            try:
                return self._run("ceph", *command)
            except StartError:
                if time.monotonic() > deadline:
                    raise

    def _run(self, *command: str) -> None:
        done = subprocess.run(self._command(command), capture_output=True, text=True, check=False, timeout=PATIENCE)
        if done.returncode:
            raise StartError(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")

    def _command(self, command: Sequence[str]) -> list[str]:
        return [command[0], "-c", str(self.folder / "ceph.conf"), *command[1:]]


def _prepared(endpoint: str, admin: AccessKey, gateway: AccessKey) -> S3Server:
    iam = iam_client(endpoint, REGION, admin)
    policies = {"admin": EVERYTHING, "gateway": documents.api_policy(BUCKET)}
    for name, policy in policies.items():
        document = json.dumps(policy, separators=(",", ":"))  # Ceph 16 reads the "+" of a form as a plus
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=document)
    _make_bucket(endpoint, admin)
    return S3Server(
        name="ceph",
        endpoint=endpoint,
        region=REGION,
        bucket=BUCKET,
        access_key_id=gateway.access_key_id,
        secret_access_key=gateway.secret_access_key,
        admin=admin,
    )


def _make_bucket(endpoint: str, admin: AccessKey) -> None:
    s3 = s3_client(endpoint, REGION, admin)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration=documents.cors(ORIGINS))  # type: ignore[arg-type] # plain dicts
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=documents.lifecycle())  # type: ignore[arg-type] # plain dicts
    policy = documents.bucket_policy(BUCKET, require_tls=False)
    forms = {
        "Sid": "FormsOfTheGateway",
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam:::user/gateway"]},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/incoming/*",
    }
    statements = [*policy["Statement"], forms]
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({**policy, "Statement": statements}))
