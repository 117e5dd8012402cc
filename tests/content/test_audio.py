"""MP3, AAC, WAV, FLAC and Ogg: what proves them, each field by itself, wherever the front ends."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.audio import is_aac, is_flac, is_mp3, is_ogg, is_wav
from tests.content.corpus_samples import AAC, FLAC, MP3, OGG, WAV, Sample
from tests.content.corpus_sound import (
    OPUS_HEAD,
    PCM,
    VENDOR,
    WELL_FORMED,
    adts,
    flac,
    flac_block,
    id3,
    mp3,
    ogg,
    ogg_page,
    riff,
    wav,
)
from tests.content.fronts import accepted_cuts, damaged, is_whole, least_front, patched

PROOFS = {MP3: is_mp3, WAV: is_wav, FLAC: is_flac, OGG: is_ogg, AAC: is_aac}
SOUNDS = [sample for sample in WELL_FORMED if sample.media_type in PROOFS]
SMALL = [sample for sample in SOUNDS if len(sample.content) < 4096]
TITLE = (b"TIT2", b"\0title")


@pytest.mark.parametrize("sample", SOUNDS, ids=lambda sample: sample.name)
def test_a_sound_is_proved_wherever_the_front_ends_behind_its_head(sample: Sample) -> None:
    assert is_whole(PROOFS[sample.media_type], sample.content)
    # Of frames there have to be two; all else is told by a header.
    assert least_front(PROOFS[sample.media_type], sample.content) <= (500 if sample.media_type in {MP3, AAC} else 42)


@pytest.mark.threat(12)
@pytest.mark.parametrize("sample", SMALL, ids=lambda sample: sample.name)
def test_a_sound_cut_short_is_none_unless_it_is_cut_between_frames_or_in_one_of_flac(sample: Sample) -> None:
    cuts = accepted_cuts(PROOFS[sample.media_type], sample.content)
    if sample.media_type in {MP3, AAC}:
        assert all(sample.content[cut : cut + 1] in {b"\xff", b"T"} for cut in cuts)
    elif sample.media_type == FLAC:
        assert all(cut > sample.content.index(b"\xff\xf8") for cut in cuts)
    else:
        assert cuts == []


@pytest.mark.threat(12)
@pytest.mark.parametrize("sample", SOUNDS, ids=lambda sample: sample.name)
def test_no_sound_passes_for_one_of_another_kind(sample: Sample) -> None:
    assert [kind for kind, proof in PROOFS.items() if is_whole(proof, sample.content)] == [sample.media_type]


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (b"\xff\xfb\x90\xc4", 417),  # MPEG-1, 128 kbit/s, 44.1 kHz
        (b"\xff\xfa\x92\0", 418),  # with a checksum, padded
        (b"\xff\xfb\xe8\0", 1440),  # 320 kbit/s, 32 kHz: the longest
        (b"\xff\xfb\x14\0", 96),  # 32 kbit/s, 48 kHz
        (b"\xff\xf3\x80\0", 208),  # MPEG-2, 64 kbit/s, 22.05 kHz
        (b"\xff\xe3\x18\0", 72),  # MPEG-2.5, 8 kbit/s, 8 kHz
    ],
)
def test_a_frame_of_mp3_is_as_long_as_its_header_says(header: bytes, length: int) -> None:
    for frames in (1, 2, 3, 300):
        assert is_whole(is_mp3, mp3(frames, header, length))
    for wrong in (length - 1, length + 1):
        assert not is_whole(is_mp3, mp3(3, header, wrong))
        assert not is_whole(is_mp3, mp3(300, header, wrong))


# ISO/IEC 11172-3 table 2.4.2.3 and 13818-3 table 2.4.2.3 of layer III, kbit/s by index from 1; the rates in Hz
BIT_RATES = {
    b"\xff\xfb": (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    b"\xff\xf3": (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    b"\xff\xe3": (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {b"\xff\xfb": (44100, 48000, 32000), b"\xff\xf3": (22050, 24000, 16000), b"\xff\xe3": (11025, 12000, 8000)}


@pytest.mark.parametrize("sync", BIT_RATES)
def test_every_bit_rate_and_sampling_rate_of_mp3_is_known(sync: bytes) -> None:
    samples = 1152 if sync == b"\xff\xfb" else 576
    for index, kilobits in enumerate(BIT_RATES[sync], 1):
        for place, rate in enumerate(RATES[sync]):
            header = sync + bytes([index << 4 | place << 2]) + b"\0"
            assert is_whole(is_mp3, mp3(300, header, samples // 8 * kilobits * 1000 // rate)), (kilobits, rate)


@pytest.mark.threat(12)
def test_one_frame_is_a_sound_only_if_it_is_all() -> None:
    for is_it, frame in ((is_mp3, mp3(1)), (is_aac, adts(1))):
        assert is_whole(is_it, frame)
        assert not is_it(frame, len(frame) + 5000)
        assert not is_whole(is_it, frame + bytes(5000))
        assert not is_whole(is_it, frame + b"TAG" + bytes(125))
    assert not is_whole(is_mp3, b"")
    assert not is_whole(is_aac, b"")


@pytest.mark.threat(12)
def test_a_frame_of_aac_is_no_shorter_than_its_header() -> None:
    checked = b"\xff\xf0\x50\x80"
    assert is_whole(is_aac, adts(4, data=b""))  # seven bytes
    assert is_whole(is_aac, adts(4, header=checked, data=bytes(2)))  # nine with a checksum
    assert not is_whole(is_aac, adts(4, header=checked, data=bytes(1)))


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    "header",
    [
        b"\xff\xdb\x90\xc4",  # ten bits of synchronisation
        b"\xff\xeb\x90\xc4",  # the version that is reserved
        b"\xff\xf9\x90\xc4",  # no layer
        b"\xff\xfd\x90\xc4",  # layer II
        b"\xff\xff\x90\xc4",  # layer I
        b"\xff\xfb\x00\xc4",  # of any bit rate
        b"\xff\xfb\xf0\xc4",  # of none
        b"\xff\xfb\x9c\xc4",  # of no sampling rate
        b"\xff\xfb\x90\xc6",  # of an emphasis that is reserved
    ],
)
def test_a_frame_with_one_wrong_field_is_no_mp3(header: bytes) -> None:
    assert not is_whole(is_mp3, mp3(4, header))
    assert not is_whole(is_mp3, mp3(40, header))


@pytest.mark.threat(12)
def test_frames_of_one_stream_are_alike() -> None:
    slower, second = mp3(1, b"\xff\xfb\x70\xc4", 313), mp3(1, b"\xff\xfb\x94\xc4", 384)
    assert is_whole(is_mp3, mp3(1) + slower + mp3(2))  # the bit rate may change
    assert not is_whole(is_mp3, mp3(1) + second + mp3(2))  # 48 kHz
    assert not is_whole(is_aac, adts(2) + adts(2, header=b"\xff\xf1\x4c\x80"))


@pytest.mark.parametrize("padding", [0, 100, 3300, 3600, 4040, 4100, 9000])
@pytest.mark.parametrize("version", [3, 4])
def test_a_tag_may_take_up_any_part_of_the_front(version: int, padding: int) -> None:
    tag = id3(TITLE, version=version, padding=padding)
    assert is_whole(is_mp3, tag + mp3(40))
    assert not is_whole(is_mp3, tag)
    assert is_whole(is_mp3, id3(TITLE, version=version) + bytes(padding) + mp3(40))  # as some writers leave room


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    ("at", "new"),
    [(3, b"\x01"), (3, b"\x05"), (4, b"\xff"), (5, b"\x08"), (6, b"\x80"), (6, b"\x7f"), (10, b"<b>"), (10, b"tit2")],
)
def test_a_tag_with_one_wrong_field_proves_nothing(at: int, new: bytes) -> None:
    for padding in (0, 300, 5000):
        content = id3(TITLE, padding=padding) + mp3(2)
        assert is_whole(is_mp3, content)
        assert not is_whole(is_mp3, patched(content, at, new))
        assert not is_whole(is_mp3, patched(content, at, new) + mp3(40))


@pytest.mark.parametrize("length", [127, 128, 129, 300, 16_383, 16_384, 2_097_152])
def test_the_length_of_a_tag_has_seven_bits_in_a_byte(length: int) -> None:
    content = id3(TITLE, padding=length - 16) + mp3(2)
    assert is_whole(is_mp3, content)
    assert not is_whole(is_mp3, content[: 10 + length])
    assert is_whole(is_aac, id3(TITLE, padding=length - 16) + adts(40)) == (length < 4000)


def test_tags_may_stand_before_and_behind_the_frames() -> None:
    footer = patched(id3(TITLE, version=4), 5, b"\x10") + b"3DI" + bytes(7)
    for before in (b"", id3(TITLE) * 2, footer, patched(id3((b"\0\0\0\x06", b""), version=3), 5, b"\x40")):
        for behind in (b"", b"TAG" + bytes(125), b"APETAGEX" + bytes(24) + b"TAG" + bytes(125), id3(TITLE)):
            assert is_whole(is_mp3, before + mp3() + behind), (before, behind)
    assert not is_whole(is_mp3, mp3() + b"TAG" + bytes(124))
    assert not is_whole(is_mp3, mp3() + b"PK\x05\x06" + bytes(18))
    assert not is_whole(is_mp3, id3(TITLE) * 9 + mp3())


def test_an_aac_stream_may_begin_with_a_tag_as_long_as_frames_are_in_view() -> None:
    assert is_whole(is_aac, id3((b"PRIV", b"com.apple.streaming.transportStreamTimestamp\0" + bytes(8))) + adts())
    assert not is_whole(is_aac, id3(TITLE, padding=5000) + adts(40))


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    "header",
    [b"\xff\xe1\x50\x80", b"\xff\xf3\x50\x80", b"\xff\xf1\x74\x80", b"\xff\xf1\x7c\x80"],
    ids=["synchronisation", "layer", "sampling rate 13", "sampling rate 15"],
)
def test_a_frame_with_one_wrong_field_is_no_aac(header: bytes) -> None:
    assert is_whole(is_aac, adts(40))
    assert not is_whole(is_aac, adts(4, header=header))
    assert not is_whole(is_aac, adts(4, length=6))
    assert not is_whole(is_aac, adts(4, length=99))


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    ("at", "new"),
    [
        (0, b"RIFX"),  # of the other byte order
        (0, b"RF64"),  # without the sizes that belong to it
        (4, struct.pack("<I", 99_999)),  # longer than the file
        (8, b"AVI "),
        (12, b"f\0t "),
        (16, struct.pack("<I", 13)),  # no whole format
        (16, struct.pack("<I", 99_999)),
        (20, struct.pack("<H", 0)),  # of no coding
        (22, struct.pack("<H", 0)),  # of no channels
        (22, struct.pack("<H", 300)),
        (24, struct.pack("<I", 0)),  # of no rate
        (32, struct.pack("<H", 0)),  # of no frame
        (36, b"junk"),  # no data
        (40, struct.pack("<I", 18_001)),  # data beyond the file
    ],
)
def test_a_wav_with_one_wrong_field_is_none(at: int, new: bytes) -> None:
    for content in (wav(), wav(samples=9000)):
        assert is_whole(is_wav, content)
        assert not is_whole(is_wav, patched(content, at, new))


@pytest.mark.threat(12)
def test_chunks_of_a_wav_have_names_and_fit_wherever_they_stand() -> None:
    assert is_whole(is_wav, wav((b"odd ", b"x"), (b"LIST", bytes(3000)), samples=9000))
    assert not is_whole(is_wav, wav((b"\0\0\0\0", bytes(8)), samples=9000))
    assert not is_whole(is_wav, patched(wav((b"LIST", bytes(8)), samples=9000), 40, struct.pack("<I", 99_999)))
    assert is_whole(is_wav, wav(size=237))  # one more than there is: padding that was left out
    assert not is_whole(is_wav, wav(size=238))


@pytest.mark.threat(12)
def test_a_wav_tells_its_format_before_its_data() -> None:
    assert not is_whole(is_wav, riff(b"WAVE", (b"data", bytes(20)), (b"fmt ", PCM)))


@pytest.mark.parametrize("unknown", [0, 2**32 - 1])
def test_a_wav_that_was_streamed_does_not_know_its_length(unknown: int) -> None:
    assert is_whole(is_wav, patched(wav(size=unknown), 40, struct.pack("<I", 2**32 - 1)))


def test_a_wav_beyond_four_gigabytes_has_sizes_of_its_own() -> None:
    sizes = (b"ds64", struct.pack("<QQQI", 2**33, 2**33, 2**31, 0))
    front = b"RF64" + riff(b"WAVE", sizes, (b"fmt ", PCM), (b"data", b""), size=2**32 - 1)[4:-4] + b"\xff" * 4
    assert is_wav(front + bytes(4000), 2**33)


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    ("at", "new"),
    [
        (0, b"FLAC"),
        (4, b"\x01"),  # another block before STREAMINFO
        (7, b"\x21"),  # which is shorter than it may be
        (8, struct.pack(">HH", 15, 15)),  # too small blocks
        (8, struct.pack(">HH", 192, 191)),
        (18, bytes(3)),  # no sampling rate
        (42, b"\x80"),  # a second STREAMINFO
        (42, b"\xff"),  # a block that is forbidden
        (42, b"\x04"),  # no last block
        (43, b"\0\0\xff"),  # a block beyond the file
        (58, b"\xff\xf0"),  # no frame
    ],
)
def test_a_flac_with_one_wrong_field_is_none(at: int, new: bytes) -> None:
    content = flac()
    assert is_whole(is_flac, content)
    assert not is_whole(is_flac, patched(content, at, new))


@pytest.mark.threat(12)
def test_a_flac_whose_blocks_fill_the_front_has_room_for_them_and_for_a_frame() -> None:
    content = flac(flac_block(1, bytes(4096 - 42 - 4)))
    assert is_whole(is_flac, content)
    assert is_flac(content[:4096], 4096 + 5)
    assert not is_flac(content[:4096], 4096 + 4)
    assert not is_whole(is_flac, content[:4096])
    assert is_whole(is_flac, flac(flac_block(1, bytes(9000))))
    assert not is_whole(is_flac, flac(flac_block(1, bytes(9000)))[:9000])


@pytest.mark.threat(12)
def test_a_flac_has_no_thousand_blocks() -> None:
    assert is_whole(is_flac, flac(*[flac_block(1, b"")] * 20))
    assert not is_whole(is_flac, flac(*[flac_block(1, b"")] * 900))


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    ("at", "new"),
    [
        (0, b"oggS"),
        (4, b"\x01"),  # another version
        (5, b"\0"),  # no beginning
        (5, b"\x0a"),
        (14, b"\x02"),  # the serial number, and so the checksum, as any other byte
        (22, bytes(4)),
        (26, b"\xff"),
        (40, b"x"),
        (47, b"oggS"),  # the second page
        (-1, b"\x00"),  # the last byte of the last one
    ],
)
def test_an_ogg_with_one_wrong_field_is_none(at: int, new: bytes) -> None:
    content = ogg()
    assert is_whole(is_ogg, content)
    assert not is_whole(is_ogg, patched(content, at % len(content), new))


@pytest.mark.threat(12)
def test_an_ogg_begins_with_a_codec_of_audio_and_ends_where_it_says() -> None:
    first = ogg_page(0, OPUS_HEAD, flags=2)
    assert not is_whole(is_ogg, ogg(b"\x80theora" + bytes(35)))
    assert not is_whole(is_ogg, ogg(b"just some words"))
    assert not is_whole(is_ogg, ogg_page(0, OPUS_HEAD) + ogg_page(1, b"OpusTags" + VENDOR, flags=4))
    assert not is_whole(is_ogg, first + ogg_page(1, b"OpusTags" + VENDOR))
    assert not is_whole(is_ogg, ogg() + b"PK\x05\x06" + bytes(18))


@pytest.mark.threat(12)
@given(found=damaged([sample.content for sample in SOUNDS]))
def test_no_damage_makes_a_proof_of_sounds_raise(found: tuple[bytes, int]) -> None:
    assert {type(proof(*found)) for proof in PROOFS.values()} == {bool}


@pytest.mark.threat(12)
@given(
    head=st.sampled_from([b"", b"ID3\4\0\0", b"\xff\xfb", b"\xff\xf1", b"RIFF", b"fLaC\0\0\0\x22", b"OggS\0\2"]),
    rest=st.binary(max_size=300),
    more=st.integers(0, 99),
)
def test_no_bytes_behind_a_signature_make_a_proof_of_sounds_raise(head: bytes, rest: bytes, more: int) -> None:
    front = head + rest
    assert {type(proof(front, len(front) + more)) for proof in PROOFS.values()} == {bool}
