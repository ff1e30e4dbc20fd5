"""permessage-deflate: what is agreed on (RFC 7692 §7.1), and what becomes of messages (§7.2)."""

import itertools
import random
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.wire.deflate import (
    Agreement,
    Compression,
    CompressionOptions,
    DeflateError,
    Deflater,
    Inflater,
)
from fairway.wire.extensions import parse_extensions
from fairway.wire.frames import Opcode, encode_frame
from fairway.wire.messages import encode_message
from tests.wire.streams import FUZZ

SERVER, CLIENT = "server_no_context_takeover", "client_no_context_takeover"
BOTH = f"{SERVER}; {CLIENT}"


def answer(offer: str, **options: Any) -> str | None:
    """What a server answers to an offer, without the name; None if it declines."""
    agreement = agreed(offer, **options)
    if agreement is None:
        return None
    return agreement.answer.decode().removeprefix("permessage-deflate").removeprefix("; ")


def agreed(offer: str, **options: Any) -> Agreement | None:
    """What a server with such options makes of an offer."""
    compression = Compression(CompressionOptions(**options))
    return compression.negotiate(parse_extensions([offer.encode()]))


class TestNegotiation:
    """§7.1: four parameters, both ways."""

    @pytest.mark.parametrize(
        ("parameters", "response"),
        [
            ("", BOTH),
            ("; client_max_window_bits", BOTH),
            ("; client_max_window_bits=15", BOTH),
            ("; client_max_window_bits=10", f"{BOTH}; client_max_window_bits=10"),
            ("; server_max_window_bits=15", f"{BOTH}; server_max_window_bits=15"),
            ("; server_max_window_bits=8", f"{BOTH}; server_max_window_bits=8"),
            ('; server_max_window_bits="10"', f"{BOTH}; server_max_window_bits=10"),
            ("; server_no_context_takeover", BOTH),
            ("; client_no_context_takeover; server_no_context_takeover", BOTH),
        ],
    )
    def test_usual(self, parameters: str, response: str) -> None:
        """Nothing is kept between messages, and a client's wishes are granted."""
        assert answer("permessage-deflate" + parameters) == response

    @pytest.mark.parametrize(
        ("parameters", "response"),
        [
            ("", ""),
            ("; server_no_context_takeover", SERVER),
            ("; client_no_context_takeover", CLIENT),
            ("; client_no_context_takeover; server_no_context_takeover", BOTH),
        ],
    )
    def test_takeover(self, parameters: str, response: str) -> None:
        """With takeover, each side has it that the client does not renounce."""
        offer = "permessage-deflate" + parameters
        assert answer(offer, server_takeover=True, client_takeover=True) == response

    def test_takeover_of_one(self) -> None:
        """Each side's takeover is a matter of its own."""
        assert answer("permessage-deflate", server_takeover=True) == CLIENT
        assert answer("permessage-deflate", client_takeover=True) == SERVER

    @pytest.mark.parametrize(
        ("parameters", "response"),
        [
            ("", "server_max_window_bits=11"),
            ("; server_max_window_bits=10", "server_max_window_bits=10"),
            ("; server_max_window_bits=12", "server_max_window_bits=11"),
        ],
    )
    def test_server_window(self, parameters: str, response: str) -> None:
        """Of two limits for our window the smaller one applies, and is told (§7.1.2.1)."""
        found = answer("permessage-deflate" + parameters, server_window_bits=11)
        assert found == f"{BOTH}; {response}"

    @pytest.mark.parametrize(
        ("parameters", "response", "bits"),
        [
            ("; client_max_window_bits", f"{BOTH}; client_max_window_bits=11", 11),
            ("; client_max_window_bits=10", f"{BOTH}; client_max_window_bits=10", 10),
            ("; client_max_window_bits=12", f"{BOTH}; client_max_window_bits=11", 11),
            # "must not include" it for a client that has not said that it understands (§7.1.2.2).
            ("", BOTH, 15),
        ],
    )
    def test_client_window(self, parameters: str, response: str, bits: int) -> None:
        """The same for the client's, if it can be told at all (§7.1.2.2)."""
        offer = "permessage-deflate" + parameters
        assert answer(offer, client_window_bits=11) == response
        agreement = agreed(offer, client_window_bits=11)
        assert agreement is not None
        assert agreement.client_window_bits == bits

    def test_client_window_that_cannot_be_told(self) -> None:
        """A client whose window cannot be kept small may keep none between messages."""
        options = {"client_takeover": True, "server_takeover": True}
        assert answer("permessage-deflate", client_window_bits=11, **options) == CLIENT
        assert answer("permessage-deflate", **options) == ""

    @pytest.mark.parametrize(
        "parameters",
        [
            "unheard_of",
            "server_no_context_takeover=1",
            "server_no_context_takeover=true",
            "client_no_context_takeover=0",
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=08",
            "server_max_window_bits=+9",
            "server_max_window_bits=1e1",
            "server_max_window_bits=100",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=010",
            "client_max_window_bits=x",
            "server_no_context_takeover; server_no_context_takeover",
            "client_max_window_bits; client_max_window_bits",
            "server_max_window_bits=10; server_max_window_bits=10",
            "client_max_window_bits=10; client_max_window_bits",
            "Server_no_context_takeover",
        ],
    )
    def test_declined(self, parameters: str) -> None:
        """An offer that the standard does not allow is declined (§7.1)."""
        assert answer(f"permessage-deflate; {parameters}") is None

    def test_others(self) -> None:
        """Extensions that are not known are passed over; without any, nothing is agreed on."""
        assert answer("") is None
        assert answer("permessage-bzip2, x-webkit-deflate-frame, Permessage-Deflate") is None
        assert answer("foo; server_max_window_bits=9, permessage-deflate") == BOTH

    def test_several_offers(self) -> None:
        """The first offer that can be accepted is (§5.1, §7.1.3)."""
        offers = (
            "permessage-deflate; server_max_window_bits=99, "
            "permessage-deflate; server_max_window_bits=10, permessage-deflate"
        )
        assert answer(offers) == f"{BOTH}; server_max_window_bits=10"

    def test_any_offer(self) -> None:
        """Whatever is offered and configured, an answer keeps to what was offered."""
        parameters = [
            ("", "; server_no_context_takeover"),
            ("", "; client_no_context_takeover"),
            ("", "; server_max_window_bits=8", "; server_max_window_bits=13"),
            ("", "; client_max_window_bits", "; client_max_window_bits=9"),
        ]
        for chosen in itertools.product(*parameters):
            for takeover, bits in itertools.product([False, True], [8, 12, 15]):
                agreement = agreed(
                    "permessage-deflate" + "".join(chosen),
                    server_takeover=takeover,
                    client_takeover=takeover,
                    server_window_bits=bits,
                    client_window_bits=bits,
                )
                assert agreement is not None
                (offer,) = parse_extensions([b"permessage-deflate" + "".join(chosen).encode()])
                (found,) = parse_extensions([agreement.answer])
                offered, answered = dict(offer.parameters), dict(found.parameters)
                assert (SERVER in answered) == (not agreement.server_takeover)
                assert (CLIENT in answered) == (not agreement.client_takeover)
                assert SERVER not in offered or not agreement.server_takeover
                server_bits = int(answered.get("server_max_window_bits") or 15)
                assert server_bits == agreement.server_window_bits <= bits
                if "server_max_window_bits" in offered:
                    assert server_bits <= int(offered["server_max_window_bits"] or 0)
                    assert "server_max_window_bits" in answered
                client_bits = int(answered.get("client_max_window_bits") or 15)
                assert client_bits == agreement.client_window_bits
                if "client_max_window_bits" not in offered:
                    assert client_bits == 15


class TestSharing:
    """Without takeover, clients share what compresses for them."""

    def test_shared(self) -> None:
        """All with the same windows have one compressor, and none keeps anything."""
        compression = Compression(CompressionOptions())
        offers = parse_extensions([b"permessage-deflate"])
        small = parse_extensions([b"permessage-deflate; server_max_window_bits=9"])
        agreements = [compression.negotiate(each) for each in (offers, offers, small)]
        assert all(agreements)
        one, two, three = [compression.deflater(each) for each in agreements if each]
        assert one is two
        assert one is not three
        readers = {compression.inflater(each) for each in agreements if each}
        assert len(readers) == 1

    def test_not_shared(self) -> None:
        """With takeover each has its own."""
        compression = Compression(CompressionOptions(server_takeover=True, client_takeover=True))
        agreement = compression.negotiate(parse_extensions([b"permessage-deflate"]))
        assert agreement is not None
        assert compression.deflater(agreement) is not compression.deflater(agreement)
        assert compression.inflater(agreement) is not compression.inflater(agreement)


def read(inflater: Inflater, *chunks: bytes, limit: int = 0) -> bytes:
    """A message in such pieces, inflated."""
    inflation = inflater.begin()
    message = b""
    for index, chunk in enumerate(chunks):
        inflation.size += len(chunk)
        final = index == len(chunks) - 1
        room = limit - len(message) if limit else 0
        message += inflation.feed(chunk, message, room, final=final)
    return message


def in_pieces(data: bytes) -> list[tuple[bytes, ...]]:
    """Several ways to cut it, once into single bytes and once into two everywhere."""
    pieces = [(data,), tuple(data[index : index + 1] for index in range(len(data)))]
    pieces += [(data[:point], data[point:]) for point in range(min(len(data), 30))]
    return pieces


class TestInflating:
    """§7.2.2, and the examples of §7.2.3."""

    @pytest.mark.parametrize(
        "data",
        [
            "f2 48 cd c9 c9 07 00",  # §7.2.3.1: one compressed block
            "00 05 00 fa ff 48 65 6c 6c 6f 00",  # §7.2.3.3: a block without compression
            "f3 48 cd c9 c9 07 00 00",  # §7.2.3.4: a block with BFINAL
            "f2 48 05 00 00 00 ff ff ca c9 c9 07 00",  # §7.2.3.5: two blocks
            "f3 48 cd c9 c9 07 00",  # BFINAL, and the octet behind it left out
        ],
    )
    def test_examples(self, data: str) -> None:
        """The examples of the standard all say Hello, however they arrive."""
        for chunks in in_pieces(bytes.fromhex(data)):
            assert read(Inflater(15), *chunks) == b"Hello"

    def test_shared_window(self) -> None:
        """§7.2.3.2: with takeover the second Hello refers to the first."""
        inflater = Inflater(15, takeover=True)
        assert read(inflater, bytes.fromhex("f2 48 cd c9 c9 07 00")) == b"Hello"
        assert read(inflater, bytes.fromhex("f2 00 11 00 00")) == b"Hello"
        with pytest.raises(DeflateError):
            read(Inflater(15), bytes.fromhex("f2 00 11 00 00"))

    @pytest.mark.parametrize("data", [b"", b"\x00", b"\x02\x00", b"\x03\x00", b"\x03\x00\x00"])
    def test_empty(self, data: bytes) -> None:
        """§7.2.3.6: an empty message is a block of nothing; some senders leave that out, too."""
        for chunks in in_pieces(data):
            assert read(Inflater(15), *chunks) == b""

    @pytest.mark.parametrize("takeover", [False, True])
    def test_final_blocks(self, takeover: bool) -> None:
        """What comes behind a final block may refer to what stood before it (§7.2.3.4)."""
        inflater = Inflater(15, takeover=takeover)
        text = random.Random(1).randbytes(200)
        for _ in range(3):
            first = zlib.compressobj(wbits=-15)
            data = first.compress(text) + first.flush(zlib.Z_FINISH)
            window = text if not takeover else (inflater.history + text)[-32768:]
            second = zlib.compressobj(wbits=-15, zdict=window)
            data += second.compress(text) + second.flush(zlib.Z_FINISH) + b"\x00"
            for chunks in in_pieces(data)[: 1 if takeover else None]:
                assert read(inflater, *chunks) == text * 2

    def test_final_blocks_after_takeover(self) -> None:
        """So may the next message, and one that a compressor before the final block has made."""
        inflater = Inflater(15, takeover=True)
        sender = zlib.compressobj(wbits=-15)
        text = random.Random(2).randbytes(500)
        data = sender.compress(text) + sender.flush(zlib.Z_SYNC_FLUSH)
        assert read(inflater, data[:-4]) == text
        data = sender.compress(text) + sender.flush(zlib.Z_FINISH)
        assert len(data) < 50
        assert read(inflater, data + b"\x00") == text
        sender = zlib.compressobj(wbits=-15, zdict=text)
        data = sender.compress(text) + sender.flush(zlib.Z_SYNC_FLUSH)
        assert read(inflater, data[:-4]) == text

    def test_too_many_final_blocks(self) -> None:
        """Each final block costs time, so a message of nothing else is refused."""
        assert read(Inflater(15), b"\x03\x00" * 100 + b"\x00") == b""
        with pytest.raises(DeflateError):
            read(Inflater(15), b"\x03\x00" * 102 + b"\x00")

    @pytest.mark.parametrize(
        "data",
        [
            "f2 48",  # ends in the middle of a block
            "f2 48 cd c9 c9 07",  # before the empty block's header
            "00 05 00 fa ff 48 65 6c 6c",  # in a block without compression
            "ff ff ff ff",  # a type of block that does not exist
            "06 00",
            "00 05 00 05 00 48 65 6c 6c 6f 00",  # a length and no complement
            "f2 00 11 00 00",  # a distance that leads before the beginning
            "f3 48 cd c9 c9 07 00 00 00",  # more behind the final block than there may be
        ],
    )
    def test_bad_data(self, data: str) -> None:
        """What is no DEFLATE data, or ends within a block, is refused, however it arrives."""
        for chunks in in_pieces(bytes.fromhex(data)):
            with pytest.raises(DeflateError):
                read(Inflater(15), *chunks)

    @pytest.mark.parametrize("bits", range(8, 16))
    def test_window(self, bits: int) -> None:
        """A message refers to those before only within the window that was agreed on."""
        first = random.Random(bits).randbytes((1 << bits) + 100)
        for start, readable in ((150, True), (0, bits == 15)):
            inflater = Inflater(bits, takeover=True)
            sender = zlib.compressobj(wbits=-15)
            data = sender.compress(first) + sender.flush(zlib.Z_SYNC_FLUSH)
            assert read(inflater, data[:-4]) == first
            second = first[start : start + 50]
            data = sender.compress(second) + sender.flush(zlib.Z_SYNC_FLUSH)
            if readable:
                assert read(inflater, data[:-4]) == second
            else:
                with pytest.raises(DeflateError):
                    read(inflater, data[:-4])

    def test_within_a_message(self) -> None:
        """Within a message it may refer further back, however the message arrives."""
        filler = random.Random(5).randbytes(2000)
        sender = zlib.compressobj(wbits=-15)
        data = sender.compress(filler * 2) + sender.flush(zlib.Z_SYNC_FLUSH)
        for chunks in in_pieces(data[:-4]):
            assert read(Inflater(8), *chunks) == filler * 2

    def test_nothing_left(self) -> None:
        """Without takeover, nothing of a message is kept; with it, a window."""
        data = Deflater(15, CompressionOptions()).deflate(b"secret" * 10_000)
        shared = Inflater(15)
        assert read(shared, data) == b"secret" * 10_000
        assert shared.history == b""
        own = Inflater(10, takeover=True)
        data = Deflater(10, CompressionOptions()).deflate(b"secret" * 10_000)
        read(own, data)
        assert own.history == (b"secret" * 10_000)[-1024:]

    @pytest.mark.parametrize("limit", [1, 100, 65536])
    def test_limit(self, limit: int) -> None:
        """At the limit it stops, whatever is left to inflate."""
        data = Deflater(15, CompressionOptions()).deflate(b"x" * 1_000_000)
        inflation = Inflater(15).begin()
        inflation.size = len(data)
        assert inflation.feed(data, b"", limit, final=True) == b"x" * limit

    def test_bomb(self) -> None:
        """What is a thousand times as long is never in memory as a whole."""
        compressor = zlib.compressobj(9, wbits=-15)
        data = compressor.compress(bytes(50_000_000)) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert len(data) < 60_000
        inflater = Inflater(15)
        tracemalloc.start()
        try:
            inflation = inflater.begin()
            inflation.size = len(data)
            assert len(inflation.feed(data, b"", 100_000, final=True)) == 100_000
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 500_000


class TestDeflating:
    """§7.2.1: what the server sends."""

    @pytest.mark.parametrize("takeover", [False, True])
    @pytest.mark.parametrize("bits", range(8, 16))
    @pytest.mark.parametrize(("level", "memory_level"), [(1, 5), (6, 8), (9, 9), (9, 1)])
    def test_window(self, bits: int, takeover: bool, level: int, memory_level: int) -> None:
        """Nothing refers further back than was agreed on, even where the text invites to."""
        options = CompressionOptions(level=level, memory_level=memory_level)
        deflater = Deflater(bits, options, takeover=takeover)
        inflater = Inflater(bits, takeover=takeover)
        size = 1 << bits
        for period in (size - 300, size - 262, size - 6, size - 1, size, size + 1, 2 * size):
            if period > 0:
                message = random.Random(period).randbytes(period) * 4
                assert read(inflater, deflater.deflate(message)) == message

    def test_no_trace(self) -> None:
        """Without takeover each message can be read alone, and none says what was before it."""
        deflater = Deflater(15, CompressionOptions())
        secret = b"the password is 1234567890" * 5
        alone = Deflater(15, CompressionOptions()).deflate(secret)
        for _ in range(3):
            assert deflater.deflate(secret) == alone
        assert deflater.deflate(b"another" * 9) == Deflater(15, CompressionOptions()).deflate(
            b"another" * 9
        )

    def test_takeover(self) -> None:
        """With it, what was said before makes a message short."""
        deflater = Deflater(15, CompressionOptions(), takeover=True)
        message = random.Random(3).randbytes(2000)
        assert len(deflater.deflate(message)) > 2000
        assert len(deflater.deflate(message)) < 100

    def test_interrupted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is left of a message whose compression was interrupted reaches nobody."""
        deflater = Deflater(15, CompressionOptions())
        deflater.deflate(b"warm")

        class Interrupted:
            def __init__(self, compressor: Any) -> None:
                self.compressor = compressor

            def compress(self, data: bytes) -> bytes:
                self.compressor.compress(data)
                raise KeyboardInterrupt

        deflater._compressor = Interrupted(deflater._compressor)  # type: ignore[assignment]  # a stand-in
        with pytest.raises(KeyboardInterrupt):
            deflater.deflate(b"a secret")
        assert read(Inflater(15), deflater.deflate(b"for somebody else")) == b"for somebody else"

    @pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
    def test_frame(self, opcode: Opcode) -> None:
        """A compressed message is one frame with RSV1 (§6.1)."""
        deflater = Deflater(15, CompressionOptions(threshold=10))
        frame = deflater.encode(opcode, b"x" * 200)
        assert frame[0] == 0xC0 | opcode
        assert frame[1] == len(frame) - 2
        assert read(Inflater(15), frame[2:]) == b"x" * 200

    def test_threshold(self) -> None:
        """A short message goes as it is."""
        deflater = Deflater(15, CompressionOptions(threshold=200))
        assert encode_message("x" * 199, deflater) == encode_frame(Opcode.TEXT, b"x" * 199)
        assert encode_message("x" * 200, deflater)[0] == 0xC1
        assert encode_message(b"x" * 199, deflater) == encode_frame(Opcode.BINARY, b"x" * 199)
        assert encode_message(b"x" * 200, deflater)[0] == 0xC2
        assert encode_message("é" * 100, deflater)[0] == 0xC1, "bytes count, not characters"

    def test_empty(self) -> None:
        """An empty one does, too, whatever the threshold."""
        deflater = Deflater(15, CompressionOptions(threshold=0))
        assert encode_message("", deflater) == b"\x81\x00"
        assert encode_message(b"", deflater) == b"\x82\x00"

    def test_not_worth_it(self) -> None:
        """One that becomes longer goes as it is, but for takeover: the next may refer to it."""
        noise = random.Random(4).randbytes(5000)
        options = CompressionOptions(threshold=0)
        assert encode_message(noise, Deflater(15, options)) == encode_frame(Opcode.BINARY, noise)
        assert encode_message(noise, Deflater(15, options, takeover=True))[0] == 0xC2

    def test_again(self) -> None:
        """What is sent once more at once, to another client say, is not compressed once more."""
        deflater = Deflater(15, CompressionOptions(threshold=10))
        first = encode_message("x" * 200, deflater)
        assert encode_message("x" * 200, deflater) is first
        assert encode_message(b"x" * 200, deflater) == b"\xc2" + first[1:]
        assert encode_message("y" * 200, deflater) != first
        again = encode_message("x" * 200, deflater)
        assert (again, again is first) == (first, False), "only the last one is remembered"

    def test_again_with_takeover(self) -> None:
        """With takeover it is: what it becomes depends on what was before."""
        deflater = Deflater(15, CompressionOptions(threshold=10), takeover=True)
        message = random.Random(3).randbytes(200).hex()
        assert len(encode_message(message, deflater)) > len(encode_message(message, deflater))

    def test_again_but_long(self) -> None:
        """So is one that would cost much memory."""
        deflater = Deflater(15, CompressionOptions(threshold=10))
        kept, long = "x" * 65536, "x" * 65537
        assert encode_message(kept, deflater) is encode_message(kept, deflater)
        assert encode_message(long, deflater) is not encode_message(long, deflater)


@FUZZ
@given(
    st.lists(st.binary(max_size=200) | st.binary(max_size=20).map(lambda data: data * 40)),
    st.integers(8, 15),
    st.booleans(),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_round_trip(
    messages: list[bytes], bits: int, takeover: bool, level: int, memory_level: int
) -> None:
    """What one side compresses, the other reads, whatever they have agreed on."""
    options = CompressionOptions(level=level, memory_level=memory_level, threshold=0)
    deflater = Deflater(bits, options, takeover=takeover)
    inflater = Inflater(bits, takeover=takeover)
    for message in messages:
        data = deflater.deflate(message) if message else b"\x00"
        middle = len(data) // 2
        assert read(inflater, data[:middle], data[middle:]) == message


@FUZZ
@given(st.lists(st.binary(max_size=40), min_size=1), st.booleans(), st.integers(0, 100))
def test_any_data(chunks: list[bytes], takeover: bool, limit: int) -> None:
    """Any bytes are read or refused, never more of them than the limit, never anything else."""
    inflation = Inflater(15, takeover=takeover).begin()
    message = b""
    for index, chunk in enumerate(chunks):
        inflation.size += len(chunk)
        room = limit + 1 - len(message) if limit else 0
        try:
            found = inflation.feed(chunk, message, room, final=index == len(chunks) - 1)
        except DeflateError:
            return
        assert not limit or len(found) <= room
        message += found
        if limit and len(message) > limit:
            return
