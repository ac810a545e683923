"""Fixtures of the tests of storage."""

from tests.services.conftest import world
from tests.storage.buckets import bucket, gcs_address, gcs_bucket, s3_address, s3_bucket

__all__ = ["bucket", "gcs_address", "gcs_bucket", "s3_address", "s3_bucket", "world"]
