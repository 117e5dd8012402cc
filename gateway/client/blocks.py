"""Chunks of any size, as an application generates them, gathered into blocks that are worth a step."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator

BLOCK = 2**20  # bytes at least, but for the last


def gathered(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Join small chunks."""
    block = bytearray()
    for chunk in chunks:
        block += chunk
        if len(block) >= BLOCK:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


async def gathered_in_background(chunks: Iterable[bytes] | AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """Join small chunks; what blocks while it generates them blocks a thread, and not the loop."""
    if isinstance(chunks, AsyncIterable):
        block = bytearray()
        async for chunk in chunks:
            block += chunk
            if len(block) >= BLOCK:
                yield bytes(block)
                block.clear()
        if block:
            yield bytes(block)
    else:
        blocks = gathered(chunks)
        while (gathered_block := await asyncio.to_thread(next, blocks, None)) is not None:
            yield gathered_block
