"""What ``kernel/`` in the repository is compiled to; ``Kernel`` says what each function does."""

from airflow_provider_imperva.events.scan.buffers import Bytes, Mask, Offsets, Places, Positions

def find_line_ends(text: Bytes, places: Positions) -> int: ...
def count_text(text: Bytes, sought: Bytes) -> int: ...
def count_either(text: Bytes, one: Bytes, other: Bytes) -> tuple[int, int]: ...
def recode(codes: Offsets, used: Offsets, new_codes: Offsets) -> int: ...
def tally(text: Bytes, prefix: Bytes) -> tuple[int, int, int]: ...
def find_pairs(
    text: Bytes,
    begins: Positions,
    ends: Positions,
    words: Bytes,
    known: Positions,
    tabs: bool,
    irregular: Mask,
    spans: Places,
    firsts: Positions,
    headers: Positions,
) -> None: ...
def cut_rows(
    text: Bytes,
    begins: Positions,
    ends: Positions,
    names: int,
    moments: Positions,
    irregular: Mask,
    escaped: Mask,
    spans: Places,
    firsts: Positions,
) -> None: ...
def measure(spans: Places, column_of: Positions, sizes: Positions) -> None: ...
def copy(
    text: Bytes,
    spans: Places,
    firsts: Positions,
    rows: Positions,
    column_of: Positions,
    escape: int,
    escaped: Mask,
    copied: Bytes,
    places: Positions,
    ends: Places,
    codes: Places,
    counts: Positions,
) -> None: ...
def finish(codes: Places, ends: Places, valid: Bytes) -> None: ...
def read_digits(
    characters: Bytes, offsets: Offsets, fewest: int, most: int, largest: int, values: Positions, irregular: Mask
) -> int: ...
def find_doubtful(characters: Bytes, offsets: Offsets, doubtful: Positions) -> int: ...
def cut_lists(
    characters: Bytes, offsets: Offsets, trimmed: bool, ends: Offsets, copied: Bytes, firsts: Offsets
) -> None: ...
def cut_urls(characters: Bytes, offsets: Offsets, spans: Places, firsts: Positions) -> None: ...
def count_values(text: Bytes, depth: int) -> int: ...
def cut_headers(
    characters: Bytes,
    offsets: Offsets,
    irregular: Mask,
    firsts: Offsets,
    codes: Offsets,
    value_firsts: Offsets,
    ends: Offsets,
    copied: Bytes,
    name_ends: Offsets,
    names: Bytes,
) -> tuple[int, int, int]: ...
