"""Uppy 6 in Chromium sends its files to Ceph: some of what the tests of Uppy do over another server."""

import pytest

from tests.browser.conftest import browser, page
from tests.protocols import test_uppy_browser
from tests.protocols.test_uppy_browser import scripts, site

__all__ = ["browser", "page", "scripts", "site"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

test_a_single_upload_is_posted_completed_and_served = (
    test_uppy_browser.test_a_single_upload_is_posted_completed_and_served
)
test_an_upload_in_parts_is_completed_by_uppy_itself = (
    test_uppy_browser.test_an_upload_in_parts_is_completed_by_uppy_itself
)
test_a_paused_upload_goes_on_with_what_is_missing = test_uppy_browser.test_a_paused_upload_goes_on_with_what_is_missing
test_a_cancelled_upload_leaves_nothing_behind = test_uppy_browser.test_a_cancelled_upload_leaves_nothing_behind


@pytest.fixture
def version() -> int:
    """Stand for Uppy's newest: Uppy 5 waits for a header that Ceph 16 does not send."""
    return 6
