"""The gateway, served for the benchmark as `gateway serve` does it, with its log line off as in the baselines."""

import hashlib
import sys

import uvicorn

from gateway.app import create_app
from gateway.http.serving import run_config, settle
from gateway.settings import load
from tests.bench.place import API_KEY, APP_SECRET, BUCKET, POLICY, REGION, SECRET, TENANT

TENANTS = {
    TENANT: {
        "app_secrets": [APP_SECRET],
        "api_keys": [
            {
                "id": API_KEY[4:12],
                "sha256": hashlib.sha256(API_KEY.encode()).hexdigest(),
                "actions": ["upload", "link"],
                "policies": [POLICY],
            }
        ],
        "policies": {
            POLICY: {"content_types": ["image/png", "image/jpeg", "application/pdf"], "max_size": "100 MiB"},
        },
    }
}


def serve(port: int) -> None:
    """Serve on loopback until terminated."""
    settings = load(secret_keys=[SECRET], tenants=TENANTS, bucket=BUCKET, region=REGION)
    app = create_app(settings, log=lambda _: None)
    settle()
    uvicorn.Server(run_config(app, host="127.0.0.1", port=port)).run()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
