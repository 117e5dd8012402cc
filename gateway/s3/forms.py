"""Presigned form POSTs, for clients that know nothing else (Uppy). Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html. A form has no if-none-match: it can
be posted again as long as it lives, which is what `ObjectKey.by_form` and the claim in `gateway.claims` are for.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from gateway.s3.endpoints import Endpoint
from gateway.s3.presigned import PresignedForm
from gateway.s3.sigv4 import Signer


def presigned_form(
    endpoint: Endpoint,
    fields: Mapping[str, str],
    sizes: Sequence[int],
    signer: Signer,
    *,
    expires_at: int,
) -> PresignedForm:
    """Sign that every field is exactly as given and the file has `sizes[0]` to `sizes[1]` bytes.

    `fields` holds at least `key`; whatever else a client adds, the store refuses.
    """
    given = {**fields, **signer.form_fields()}
    # S3 holds the bucket against the policy like a field, and refuses one that does not name it, whatever the address
    # (ceph/s3-tests, test_post_object_missing_policy_condition).
    conditions: list[object] = [{name: value} for name, value in {"bucket": endpoint.bucket, **given}.items()]
    policy = {
        "expiration": f"{datetime.fromtimestamp(expires_at, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "conditions": [*conditions, ["content-length-range", *sizes]],
    }
    encoded = base64.b64encode(json.dumps(policy, separators=(",", ":")).encode()).decode()
    signature = signer.signature(encoded)
    return PresignedForm(
        endpoint.origin + endpoint.path, {**given, "policy": encoded, "x-amz-signature": signature}, expires_at
    )
