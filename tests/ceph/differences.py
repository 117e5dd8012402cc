"""Where Ceph 16 does not do what a test of other servers promises; `test_differences.py` says what it does instead.

Strict: a test that passes all the same has to leave the table.
"""

from collections.abc import Mapping
from typing import Final

from tests.s3.subjects import NEEDS
from tests.servers.known import NOT_ENFORCED

# By the name of a test, with its parameters or for all of them: a row of tests/servers/known.py, or a sentence.
DIFFERENT: Final[Mapping[str, str]] = {
    "test_head_describes_an_upload_whole": "checksum",
    "test_a_copy_keeps_bytes_and_checksum_and_takes_our_type_and_metadata": "checksum",
    "test_the_bucket_refuses_every_put_but_the_granted_one[other bytes, as many]": "checksum",
    "test_a_picture_goes_up_and_comes_back_through_its_link": "checksum",
    "test_what_was_put_is_completed_by_the_signed_id_of_the_form_and_served[sha256]": "checksum",
    "test_the_bucket_refuses_what_differs_from_the_record[sha256]": "checksum",
    "test_a_policy_that_asks_for_checksums_is_not_content_with_an_md5": "checksum",
    "test_with_checksums_the_bucket_takes_no_other_bytes": "checksum of a part",
    "test_parts_are_never_joined_over_an_object": "complete if-none-match",
    "test_the_upload_of_another_key_is_not_touched": "completion of a gone upload",
    "test_pages_of_unfinished_uploads_hold_each_once_in_the_order_of_their_keys": "keys count with a dot behind them",
    "test_headers_that_nobody_signed_vanish_at_promotion": "a Content-Encoding that is taken away is served empty",
    "test_a_posted_file_is_completed_by_its_key_and_served": "the answer to a form has its ETag in the body alone",
    "test_the_gateway_cannot[list buckets]": "every user may list buckets, their own",
    "test_the_gateway_can[promote it by parts]": "parts are copied only of what the same user has put",
    "test_without_any_one_permission_the_gateway_cannot": "it has no calls that make users",
}

# Promises that Ceph 16 keeps though it lacks what their test needs in general.
KEPT: Final = frozenset({"test_a_part_is_copied_only_of_what_was_proved[beyond the end]"})

# These put and never complete, so that a checksum may be granted.
STATING_CHECKSUMS: Final = frozenset({"test_the_bucket_refuses_every_put_but_the_granted_one"})


def reason_to_fail(test: str) -> str | None:
    """Return why a test, by its name and parameters, cannot pass over Ceph 16; None when it has to."""
    name = test.partition("[")[0]
    reason = DIFFERENT.get(test, DIFFERENT.get(name))
    needed = NEEDS.get(name)
    if reason is None and needed is not None and test not in KEPT and "ceph" in NOT_ENFORCED[needed]:
        return needed
    return reason
