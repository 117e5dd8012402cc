"""Ceph keeps the promises that the tests of other servers make: tickets, parts, links, and the storage's contract."""

from tests.ceph.suites import promises_of
from tests.http.routes import test_enforcement, test_multipart, test_uploads
from tests.infra import test_least_privilege
from tests.s3 import test_storage, test_storage_multipart
from tests.servers import test_known

globals().update(promises_of(test_storage, "subject", "server"))
globals().update(promises_of(test_storage_multipart, "subject"))
globals().update(promises_of(test_known, "s3_server"))
globals().update(promises_of(test_enforcement, "strict", "strict_client"))
globals().update(promises_of(test_uploads, "client"))
globals().update(promises_of(test_multipart, "client", "strict_client"))
globals().update(promises_of(test_least_privilege, "ministack"))
