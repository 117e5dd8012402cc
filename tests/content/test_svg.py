"""SVG: which documents are one, wherever the front ends, and which of them something would run in."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.svg import svg_objection
from gateway.errors import Code
from tests.content.corpus_pictures import WELL_FORMED, svg
from tests.content.corpus_samples import SVG, Sample
from tests.content.fronts import accepted_cuts, damaged, is_whole, least_front

DRAWINGS = [sample for sample in WELL_FORMED if sample.media_type == SVG]
NAMESPACE = b' xmlns="http://www.w3.org/2000/svg"'
ROOT = b"<svg" + NAMESPACE + b"/>"


def is_svg(front: bytes, size: int) -> bool:
    return svg_objection(front, size) is None


def holds_svg_action(front: bytes) -> bool:
    return svg_objection(front, len(front) + 1) is Code.ACTIVE_CONTENT


@pytest.mark.parametrize("sample", DRAWINGS, ids=lambda sample: sample.name)
def test_a_drawing_is_proved_wherever_the_front_ends_behind_the_tag_of_its_root(sample: Sample) -> None:
    assert is_whole(is_svg, sample.content)
    assert not holds_svg_action(sample.content)
    front = sample.content[: least_front(is_svg, sample.content)].replace(b"\0", b"")  # of UTF-16 as well
    assert front.endswith(b">")
    assert front[front.index(b"<svg") :].count(b">") == 1


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    "sample", [sample for sample in DRAWINGS if len(sample.content) < 4096], ids=lambda sample: sample.name
)
def test_a_drawing_cut_short_is_none(sample: Sample) -> None:
    # The line break at its end may be missing, or be cut in half.
    assert {sample.content[cut:].strip(b"\0\n") for cut in accepted_cuts(is_svg, sample.content)} <= {b""}


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(ROOT, id="empty"),
        pytest.param(b'<s:svg xmlns:s="http://www.w3.org/2000/svg"/>', id="prefix"),
        pytest.param(b"\n <!-- a note --> " + ROOT + b"\n<!-- another -->\n", id="notes"),
        pytest.param(b'<?xml version="1.0" encoding="ISO-8859-1" standalone="no"?>' + ROOT, id="declared Latin 1"),
        pytest.param(b"<!DOCTYPE svg>" + ROOT, id="document type"),
        pytest.param(b"<?a b?>" + ROOT, id="instruction"),
        pytest.param(b"<svg" + NAMESPACE + b"><g><![CDATA[ a ]]> &lt; &#169; \xc3\xa9</g></svg>", id="text"),
        *(
            pytest.param(
                mark
                + b'<?xml version="1.0" encoding="UTF-16"?>'.decode().encode(encoding)
                + ROOT.decode().encode(encoding),
                id=encoding,
            )
            for encoding, mark in (("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff"))
        ),
    ],
)
def test_a_document_whose_root_is_of_svg_is_one(document: bytes) -> None:
    assert is_whole(is_svg, document)
    assert not holds_svg_action(document)


@pytest.mark.threat(8, 12)
@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"<svg/>", id="no namespace"),
        pytest.param(b'<svg xmlns="http://www.w3.org/2000/SVG"/>', id="another namespace"),
        pytest.param(b"<g" + NAMESPACE + b"/>", id="another root"),
        pytest.param(b"<x>" + ROOT + b"</x>", id="another root around it"),
        pytest.param(ROOT + ROOT, id="two roots"),
        pytest.param(b"words " + ROOT, id="words before"),
        pytest.param(ROOT + b"MZ", id="something behind"),
        pytest.param(b"<svg" + NAMESPACE + b"><g></svg>", id="not closed"),
        pytest.param(b"<svg" + NAMESPACE + b" a=b/>", id="no quotes"),
        pytest.param(b"<svg" + NAMESPACE + b">&nbsp;</svg>", id="unknown entity"),
        pytest.param(
            b'<!DOCTYPE svg SYSTEM "http://www.w3.org/svg.dtd"><svg' + NAMESPACE + b">&a;</svg>", id="entity elsewhere"
        ),
        pytest.param(b"<svg" + NAMESPACE + b">\xe9</svg>", id="Latin 1"),
        pytest.param(b"<svg" + NAMESPACE + b">\0</svg>", id="zero"),
        pytest.param(b'<!DOCTYPE svg [<!ENTITY a "b">]>' + ROOT, id="entity"),
        pytest.param(b"<!DOCTYPE svg []>" + ROOT, id="internal subset"),
        pytest.param(
            b'<svg xmlns="http://www.w3.org/2000/svg" xmlns:h="&#104;ttp://www.w3.org/1999/xhtml"/>', id="XHTML"
        ),
        pytest.param(b'<?xml version="1.0" encoding="UTF-7"?>' + ROOT, id="UTF-7"),
        pytest.param(b'<?xml version="1.0" encoding="UTF-16"?>' + ROOT, id="not UTF-16"),
        pytest.param(
            b"\xff\xfe"
            + '<?xml version="1.0" encoding="big5"?>'.encode("utf-16-le")
            + ROOT.decode().encode("utf-16-le"),
            id="not Big5",
        ),
        pytest.param(ROOT.decode().encode("utf-16-le"), id="UTF-16 without its mark"),
        pytest.param(
            b'<?xml version="1.0"?>'.decode().encode("utf-16-be") + ROOT.decode().encode("utf-16-be"),
            id="the same, declared",
        ),
        pytest.param(b"<!--" + b"x" * 5000 + b"-->" + ROOT, id="root beyond the front"),
        pytest.param(b"\x1f\x8b\x08\0" + bytes(40), id="compressed"),
    ],
)
def test_any_other_document_is_none(document: bytes) -> None:
    assert not is_whole(is_svg, document)


def test_entities_are_never_expanded() -> None:
    laughs = "".join(f'<!ENTITY a{number + 1} "{f"&a{number};" * 10}">' for number in range(9))
    assert not is_whole(
        is_svg, f'<!DOCTYPE svg [<!ENTITY a0 "ha">{laughs}]>'.encode() + b"<svg" + NAMESPACE + b">&a9;</svg>"
    )


ACTIVE = {
    "script": b"<script>alert(1)</script>",
    "script in upper case": b"<SCRIPT>alert(1)</SCRIPT>",
    "script under a prefix": b'<x:script xmlns:x="http://www.w3.org/2000/svg" href="//evil.example/x.js"/>',
    "handler": b'<g onclick="alert(1)"/>',
    "handler behind a line break": b"<g\nonfocusin\n=\n'alert(1)'/>",
    "handler of an animation": b'<animate onbegin="alert(1)"/>',
    "handler of Tiny": b'<handler type="text/ecmascript">alert(1)</handler>',
    "listener": b'<ev:listener xmlns:ev="http://www.w3.org/2001/xml-events" event="load" handler="#x"/>',
    "foreign object": b"<foreignObject/>",
    "iframe": b'<h:iframe xmlns:h="http://www.w3.org/1999/xhtml" src="//evil.example"/>',
    "XHTML": b'<p xmlns="http://www.w3.org/1999/xhtml"/>',
    "XHTML by references": b'<x:p xmlns:x="&#104;ttp://www.w3.org/1999/xhtml"/>',
    "link": b'<a href="javascript:alert(1)"/>',
    "link with a prefix": b'<a xlink:href=" java&#9;script&colon;alert(1)"/>',
    "link by references": b'<a href="&#x6a;avascript:alert(1)"/>',
    "link to a page within": b'<a href="data:text/html;base64,PHNjcmlwdD4="/>',
    "link to a page within, by references": b'<a href="&#100;ata:text/html,x"/>',
    "image that is a drawing": b'<image href="data:image/svg+xml;base64,PHN2Zz4="/>',
    "use of another document": b'<use href="https://evil.example/x.svg#x"/>',
    "use of one within": b'<use xlink:href="data:image/svg+xml,x#x"/>',
    "use behind another attribute": b'<use a="&gt;" b=">" href="x.svg#x"/>',
    "set": b'<set attributeName="href" to="x"/>',
    "animation of a link": b'<animate attributeName="xlink:href" values="#a;x"/>',
    "animation of a handler": b'<set attributeName="onclick" to="alert(1)"/>',
    "animation by references": b'<set attributeName="&#104;ref" to="x"/>',
    "PHP": b"<?php phpinfo(); ?>",
    "end of the drawing in HTML": b"<style><![CDATA[</style><img src=x onerror=alert(1)>]]></style>",
    "script under a prefix of 40 letters": b'<%s:script xmlns:%s="http://www.w3.org/2000/svg"/>' % ((b"a" * 40,) * 2),
    "script under a prefix beyond ASCII": '<é:script xmlns:é="http://www.w3.org/2000/svg"/>'.encode(),
    "foreign object under such a prefix": '<é:foreignObject xmlns:é="http://www.w3.org/2000/svg"/>'.encode(),
    "use under such a prefix": '<é:use xmlns:é="http://www.w3.org/2000/svg" href="http://evil.example/#x"/>'.encode(),
    "handler, and 70 spaces": b"<g onclick" + b" " * 70 + b'="alert(1)"/>',
    "handler, and 70 lines": b"<g onclick=" + b"\n" * 70 + b'"alert(1)"/>',
    "link, and 70 spaces": b"<a href" + b" " * 70 + b'="data:text/html,x"/>',
    "link behind 70 spaces": b'<a href="' + b" " * 70 + b'data:text/html,x"/>',
    "use, and 70 spaces": b"<use href" + b" " * 70 + b'="http://evil.example/x.svg#x"/>',
    "animation of a link with a prefix beyond ASCII": '<set attributeName="é:href" to="data:text/html,x"/>'.encode(),
    "animation of a link with a long prefix": b'<set attributeName="%s:href" to="x"/>' % (b"a" * 40),
    "HTML under 40 letters": b'<%s:p xmlns:%s="http://www.w3.org/1999/xhtml"/>' % ((b"a" * 40,) * 2),
    "style sheet": b'<x:transform xmlns:x="http://www.w3.org/1999/XSL/Transform"/>',
    "page in HTML": b"<title><![CDATA[</title><iframe src=//evil.example>]]></title>",
}


@pytest.mark.threat(8)
@pytest.mark.parametrize("inside", ACTIVE.values(), ids=ACTIVE)
def test_what_something_would_run_in_is_active(inside: bytes) -> None:
    document = svg(inside)
    assert holds_svg_action(document)
    text = document.decode()
    for encoded in (
        text.encode("utf-16"),
        text.encode("utf-16-le"),
        text.encode("utf-16-be"),
        text.encode("utf-8-sig"),
    ):
        assert holds_svg_action(encoded)


@pytest.mark.threat(8)
@pytest.mark.parametrize(
    "document",
    [
        b'<!DOCTYPE svg [<!ENTITY a "b">]>' + ROOT,
        b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd" [\n]>'
        + ROOT,
        b"<!DOCTYPE html>" + ROOT,
        b"<!DOCTYPE" + b" " * 70 + b"html>" + ROOT,
        b'<!DOCTYPE svg SYSTEM "http://evil.example/svg.dtd"><svg' + NAMESPACE + b">&x;</svg>",
        b'<!DOCTYPE svg SYSTEM "http://www.w3.org.evil.example/svg.dtd">' + ROOT,
        b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd">' + ROOT,
        b'<!DOCTYPE svg PUBLIC "' + b"a" * 600 + b'" "http://www.w3.org/x" []>' + ROOT,
        b'<?xml-stylesheet type="text/xsl" href="x.xsl"?>' + ROOT,
        b"<svg" + NAMESPACE + b' onload="alert(1)"',  # as far as the front goes
        b"<html><svg/></html>",
    ],
)
def test_a_document_that_is_active_before_its_first_shape_is_so_as_well(document: bytes) -> None:
    assert holds_svg_action(document)


@pytest.mark.threat(8)
@pytest.mark.parametrize(
    "cut",
    ["<é:script", "<é:script href='", "<g onload" + " " * 70 + "='alert(", "<é:use a='' href" + " " * 70 + "='//evil"],
)
def test_what_the_front_cuts_is_active_by_what_it_looks_like(cut: str) -> None:
    for encoding in ("utf-8", "utf-16"):
        assert holds_svg_action((ROOT[:-2].decode() + ">" + cut).encode(encoding))


@pytest.mark.threat(8)
@pytest.mark.parametrize(
    "inside",
    [
        '<a href="d&#97;ta:text/html,x"/>',
        '<a href="da&#10;ta:text/html,x"/>',
        '<use href="&#32;x.svg#a"/>',
        '<\u5c3e:script xmlns:\u5c3e="http://www.w3.org/2000/svg"/>',  # in UTF-16 one of its bytes is `>`
        '<\u5c3e:foreignObject xmlns:\u5c3e="http://www.w3.org/2000/svg"/>',
        '<a xmlns:\u5c3e="http://www.w3.org/1999/xlink"><set attributeName="\u5c3e:href"/></a>',
    ],
)
def test_an_element_is_judged_as_it_is_read_whatever_it_looks_like(inside: str) -> None:
    for encoding in ("utf-8", "utf-16"):
        assert holds_svg_action(svg(inside.encode()).decode().encode(encoding))


# Each is as slow as any of 4 KiB that was tried, and would take quadratic time if a pattern gave back what it took.
SLOW = {
    "groups in groups": b"<g>",
    "groups": b"<g/>",
    "links": b'<g href="a"/>',
    "uses": b'<use href=" #"/>',
    "animations": b'<set attributeName="a"/>',
    "names": b'<g a=":"/>',
    "instructions": b"<?a?>",
    "namespaces": b'<a xmlns=":"/>',
    "prefixes": b"<a",
    "half a prefix": b"<" + b"a" * 4000,
    "spaces": b"<a href" + b" " * 4000,
    "spaces behind a handler": b"<a onload" + b" " * 4000,
    "handlers and spaces": b" onload" + b" " * 60,
    "animations without end": b"<a attributename='a",
    "uses without end": b"<use href ",
    "document types": b"<!doctype a",
    "namespaces without end": b"xmlns:a = 'a",
}


@pytest.mark.threat(12)
@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("piece", SLOW.values(), ids=SLOW)
def test_no_front_takes_a_millisecond(piece: bytes) -> None:
    front = (ROOT[:-2] + b">" + piece * 4096)[:4096]
    assert any(duration(front) < 0.001 for _ in range(100))


def duration(front: bytes) -> float:
    start = time.perf_counter()
    svg_objection(front, 9999)
    return time.perf_counter() - start


@pytest.mark.parametrize(
    "inside",
    [
        b'<a href="https://example.org/"/>',
        b'<text on="1" onx="2"/><use href=""/>',
        '<é:g xmlns:é="http://www.w3.org/2000/svg" é:label="on"><é:use href="#a"/></é:g>'.encode(),
        b'<a href="mailto:me@example.org" target="_blank"/>',
        b'<use href="#a" x="1"/><use xlink:href="#b" xmlns:xlink="http://www.w3.org/1999/xlink"/>',
        b'<image href="data:image/png;base64,iVBORw0KGgo="/>',
        b'<image href="data:image/jpeg;base64,/9j/" width="1"/>',
        b'<image href="picture.png"/>',
        b'<image href="data:img/png;base64,iVBORw0KGgo="/><image href="data:;base64,iVBORw0KGgo="/>',
        b'<animate attributeName="opacity" values="0;1" dur="1s"/>',
        b"<style>@font-face{src:url(data:font/woff2;base64,d09GMg==)} .only-one{fill:red}</style>",
        b"<text>on = off, one=1, conditions=2 &amp; only a &lt; b</text>",
        b"<metadata/><metadata id='m'/><linearGradient id='l'/><font-face/><basefont/>",
        b'<g inkscape:label="x" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" font-family="a"/>',
        b'<path d="M0 0" data-on="1" version="1" function="2"/>',
        b"<userdefs/><handlers/>",
    ],
)
def test_what_drawings_are_made_of_is_not_active(inside: bytes) -> None:
    assert not holds_svg_action(svg(inside))


@pytest.mark.threat(12)
@given(found=damaged([sample.content for sample in DRAWINGS] + [ROOT.decode().encode("utf-16")]))
def test_no_damage_makes_the_proof_of_a_drawing_raise(found: tuple[bytes, int]) -> None:
    assert svg_objection(*found) in {None, Code.ACTIVE_CONTENT, Code.CONTENT_MISMATCH}


@pytest.mark.threat(12)
@given(
    before=st.sampled_from(["", "\ufeff", '<?xml version="1.0" encoding="%s"?>', "<!DOCTYPE svg %s>", "<svg %s>"]),
    inside=st.text(max_size=30),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]),
)
def test_no_text_makes_the_proof_of_a_drawing_raise(before: str, inside: str, encoding: str) -> None:
    front = (before.replace("%s", inside) + ROOT.decode()).encode(encoding, "replace")
    for size in (len(front), 9999):
        assert svg_objection(front, size) in {None, Code.ACTIVE_CONTENT, Code.CONTENT_MISMATCH}
