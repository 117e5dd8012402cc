"""Upload tickets and signed download links for object storage."""
