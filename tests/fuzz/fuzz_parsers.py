"""Throws damaged logs at container and parsers: ``python tests/fuzz/fuzz_parsers.py --seconds 300``.

Valid bodies of every format are mutated at random, or the containers around them are. Whatever comes out, nothing but
an error of this package may be raised, and every line must become a row or go to quarantine.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from airflow_provider_imperva.container import KeyRing, decode
from airflow_provider_imperva.errors import ImpervaError
from airflow_provider_imperva.events import LogSource, parse
from airflow_provider_imperva.testing.forge import KeyPair, forge_events, forge_log

TOKENS = [
    *(b"\n", b"\r\n", b"\t", b" ", b"=", b"\\", b"\\=", b"|", b'"', b'""', b'" "', b"\x00", b"\xff", b"\xc3", b"\x1c"),
    *("\x85\u2028\ufeff".encode(), b"CEF:0|", b"LEEF:1.0|", b"#Fields: c-ip cs-uri\n", b"|==|\n", b"cs10=[{", b"}]"),
    *(
        b"{",
        b"[",
        b"]",
        b",",
        b'"a":',
        b"1e999",
        b"9" * 40,
        b"\\ud800",
        b"cs1Label=",
        b"start=0",
        b" act=",
        b"[" * 3000,
    ),
]
WAYS = ("flip", "cut", "insert", "repeat", "swap", "truncate", "splice")


class Fuzz:
    """A run that one seed decides, except for what encryption makes random."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        events = list(forge_events(60, seed=seed))
        self.bodies = {
            "CEF": "\n".join(events).encode(),
            "LEEF": "\n".join(map(_leef, events)).encode(),
            "W3C": _w3c(events).encode(),
            "JSON": "\n".join(json.dumps({"event": {"id": n, "x": [text]}}) for n, text in enumerate(events)).encode(),
            "array": json.dumps([{"client": {"ip": "192.0.2.1"}, "n": n / 7} for n in range(60)], indent=1).encode(),
            "values": json.dumps([{"n": 1}, "\ud800", ["\udc80"], 1, {"events": []}, None] * 10).encode(),
        }
        self.key = KeyPair.generate()
        self.keys = KeyRing({"1": self.key.private_key})
        self.outcomes: Counter[str] = Counter()

    def round(self) -> None:
        """Damage one log and read it; raise ``AssertionError`` with the input's place if a promise is broken."""
        name = self.random.choice(list(self.bodies))
        content = self.bodies[name]
        begin = self.random.randrange(len(content)) if self.random.random() < 0.3 else 0
        content = content[begin : begin + self.random.choice([300, 3000, len(content)])]
        if self.random.random() < 0.8:
            content = self.mutated(content)
        content = forge_log(
            content,
            format=self.random.choice([name, "CEF", "W3C", "?"]),
            header=self.random.random() < 0.8,
            compress=self.random.random() < 0.5,
            key=self.key if self.random.random() < 0.2 else None,
        )
        if self.random.random() < 0.3:
            content = self.mutated(content)
        try:
            self.outcomes[self.read(content)] += 1
        except Exception as error:
            place = Path(tempfile.gettempdir()) / f"fuzz-{time.time_ns()}.log"
            place.write_bytes(content)
            raise AssertionError(f"{type(error).__name__} on {place}: {error}") from error

    def read(self, content: bytes) -> str:
        """Decode and parse as the pipeline does; say how it went."""
        try:
            plain = decode(content, log="fuzz.log", keys=self.keys)
        except ImpervaError as error:
            return error.reason
        header = plain.header
        source = LogSource(
            file="8416_1.log",
            format=header.format if header else None,
            start_time=header.start_time if header else None,
            fetched_time=1_795_300_000_000,
        )
        block_bytes = self.random.choice([plain.size // 4 + 1, 8 << 20])
        chunks = plain.chunks(self.random.choice([7, 1000, 1 << 20]))
        blocks = list(parse(chunks, source, keep_raw=True, block_bytes=block_bytes))
        numbers: list[int] = []
        for block in blocks:
            block.events.validate(full=True)
            block.quarantined.validate(full=True)
            assert block.lines == block.events.num_rows + block.quarantined.num_rows, "a line is lost or doubled"
            numbers += block.events["src_line"].to_pylist() + block.quarantined["src_line"].to_pylist()
        assert len(numbers) == len(set(numbers)), "two rows have the same line"
        return blocks[0].format or "unknown" if blocks else "empty"

    def mutated(self, content: bytes) -> bytes:
        """Damage some bytes in a few places."""
        damaged = bytearray(content)
        for _ in range(self.random.choice([1, 1, 3, 20])):
            self.damage(damaged, self.random.choice(WAYS))
        return bytes(damaged)

    def damage(self, damaged: bytearray, way: str) -> None:
        """Damage one place."""
        if not damaged:
            return
        at = self.random.randrange(len(damaged))
        end = at + self.random.choice([1, 5, 200])
        if way == "flip":
            damaged[at] ^= 1 << self.random.randrange(8)
        elif way == "cut":
            del damaged[at:end]
        elif way == "insert":
            damaged[at:at] = self.random.choice(TOKENS)
        elif way == "repeat":
            damaged[at:at] = damaged[at:end] * self.random.choice([1, 3])
        elif way == "swap":
            damaged[at:end] = damaged[at:end][::-1]
        elif way == "truncate":
            del damaged[max(at, len(damaged) // 2) :]
        else:
            other = self.random.choice(list(self.bodies.values()))
            start = self.random.randrange(len(other))
            damaged[at:at] = other[start : start + self.random.choice([40, 2000])]


def _leef(event: str) -> str:
    """Rewrite a forged event; the keys differ, which here does not matter."""
    extension = event.split("|", 7)[-1].strip().replace(" ", "\t")
    return f"LEEF:1.0|Incapsula|SIEMintegration|1|Normal|{extension}"


def _w3c(events: list[str]) -> str:
    rows = (event.replace('"', '""').split(" ")[:41] for event in events)
    return "#Version: 1.1\n" + "\n".join(" ".join(f'"{value}"' for value in [*row, *[""] * 41][:41]) for row in rows)


def run(*, seconds: float, seed: int, show: Callable[[str], object]) -> int:
    """Fuzz for so long; give the number of logs read."""
    show(f"seed {seed}")
    fuzz = Fuzz(seed)
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        fuzz.round()
        count += 1
    show(f"{count} logs: {', '.join(f'{name} {times}' for name, times in fuzz.outcomes.most_common())}")
    return count


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Throw damaged logs at container and parsers.")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    run(seconds=arguments.seconds, seed=arguments.seed, show=lambda text: print(text, file=sys.stderr, flush=True))
