#!/usr/bin/env python3
"""Run LocalStack without Docker: make its environment when needed, then serve on loopback until Ctrl-C or SIGTERM."""

import argparse
import os
from pathlib import Path

from gateway.cli.environments import environment

ROOT = Path(__file__).parents[1]
LOCK = Path(__file__).with_name("requirements.lock")
SERVICES = "s3,sqs,sns,cloudformation,iam,sts"
NOWHERE = "http://127.0.0.1:1/v1"  # nobody listens: what would phone home stays here


def main() -> None:
    """Become LocalStack."""
    parser = argparse.ArgumentParser(description="Run LocalStack on loopback, without Docker.")
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument("--data-dir", type=Path, default=ROOT / ".localstack")
    asked = parser.parse_args()
    python = str(environment(ROOT / ".venv-localstack", LOCK))
    data_dir = asked.data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    os.execve(python, [python, "-P", "-m", "localstack.runtime.main"], _environ(asked.port, data_dir))  # noqa: S606 - ours


def _environ(port: int, data_dir: Path) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "HOME": str(data_dir),
        "TMPDIR": str(data_dir),
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "LOCALSTACK_HOST": f"localhost:{port}",
        "SERVICES": SERVICES,
        "EAGER_SERVICE_LOADING": "1",
        "S3_SKIP_SIGNATURE_VALIDATION": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",
        "OVERRIDE_IN_DOCKER": "0",
        "API_ENDPOINT": NOWHERE,
        "ANALYTICS_API": NOWHERE,
        "FILESYSTEM_ROOT": str(data_dir),
        "XDG_CACHE_HOME": str(data_dir / "xdg"),
    }


if __name__ == "__main__":
    main()
