"""What all that is measured has in common: bucket, region, credentials, one tenant with one policy, and its API key."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from gateway.http.auth import new_api_key

ROOT = Path(__file__).parents[2]
BUCKET, REGION = "bench", "eu-central-1"
HOST = f"{BUCKET}.s3.{REGION}.amazonaws.com"
ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"  # AWS's published examples
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TENANT, POLICY = "acme", "img"
API_KEY = new_api_key(hashlib.sha256(b"bench API key").digest()[:25]).text
SECRET = hashlib.sha256(b"bench secret key").hexdigest()
APP_SECRET = hashlib.sha256(b"bench app secret").hexdigest()

# Nothing that is measured makes a call: all of it signs offline with these.
AWS_ENVIRONMENT: Mapping[str, str] = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def object_key(number: int) -> str:
    """Return the key of an object, another one for every number."""
    return f"objects/{TENANT}/{POLICY}/{hashlib.sha256(str(number).encode()).hexdigest()[:32]}.png"
