"""Put the corpus together: files of every type, and of what pretends to be one, each with the verdict it has to get.

The verdicts come from the specifications that the builders name, and from these rules:

* Markup that a browser could run, in view, is active content, also in a file that is not of the declared type. Only
  what an archive's members hold is for whoever unpacks it: a page in a ZIP is no page; names and comments are in view.
* A document that a browser does not show is active as well if whoever opens it would run something: macros, actions.
* What follows the end of a picture makes it no other file: a ZIP behind it is never proved to be one.
* A ZIP that two readers could read differently is none. One that holds archives is too large: who knows how large.
* What is cut short, or does not follow its specification where it is in view, is not of its type.
"""

from tests.content import (
    corpus_archives,
    corpus_documents,
    corpus_films,
    corpus_office,
    corpus_pictures,
    corpus_rasters,
    corpus_sound,
)
from tests.content.corpus_documents import ROWS
from tests.content.corpus_dressed import CUT, DRESSED
from tests.content.corpus_rasters import gif, png
from tests.content.corpus_samples import CSV, GIF, TEXT, Sample

__all__ = [
    "BOMBS",
    "BROKEN",
    "CORPUS",
    "CSV",
    "GIF",
    "POLYGLOTS",
    "ROWS",
    "TEXT",
    "WELL_FORMED",
    "Sample",
    "gif",
    "png",
]

WELL_FORMED = (
    *corpus_rasters.WELL_FORMED,
    *corpus_pictures.WELL_FORMED,
    *corpus_films.WELL_FORMED,
    *corpus_sound.WELL_FORMED,
    *corpus_documents.WELL_FORMED,
    *corpus_archives.WELL_FORMED,
    *corpus_office.WELL_FORMED,
)
BROKEN = (
    *corpus_rasters.BROKEN,
    *corpus_pictures.BROKEN,
    *corpus_films.BROKEN,
    *corpus_sound.BROKEN,
    *corpus_documents.BROKEN,
    *corpus_archives.BROKEN,
    *corpus_office.BROKEN,
    *CUT,
)
POLYGLOTS = (
    *corpus_rasters.POLYGLOTS,
    *corpus_pictures.POLYGLOTS,
    *corpus_films.POLYGLOTS,
    *corpus_sound.POLYGLOTS,
    *corpus_documents.POLYGLOTS,
    *corpus_archives.POLYGLOTS,
)
BOMBS = (*corpus_archives.BOMBS, *corpus_office.BOMBS)
CORPUS = (*WELL_FORMED, *BROKEN, *POLYGLOTS, *BOMBS, *DRESSED)
