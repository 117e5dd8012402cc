"""What a server is known not to do as AWS does, by test: a surprise in either direction fails."""

DIFFERENCES = {
    ("moto", "test_a_copy_of_other_bytes_than_were_proved_is_not_made"): "ignores x-amz-copy-source-if-match",
}
