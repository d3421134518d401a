"""What is done to all bytes of a log in C: each of these goes unseen by whoever reads without the extension."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

MUTATIONS = [
    Mutation(
        "the kernel reads records wherever it is told that they are",
        "kernel/pairs.c",
        "if (!within(begin, end, text.size)) {",
        "if (begin > end) {",
        ("events/test_kernel_bounds.py::test_record_outside_of_the_text",),
    ),
    Mutation(
        "the kernel takes the text of any label for the one expected",
        "kernel/pairs.c",
        "return is_expected ? count : -1;",
        "return count;",
        ("events/test_scan_agrees.py::test_any_cef_reads_the_same_both_ways",),
    ),
    Mutation(
        "the kernel gives a column to a custom key without its label",
        "kernel/pairs.c",
        "after < 0 || lacks_label(&cutter, record, count, after)",
        "after < 0",
        ("events/test_scan_agrees.py::test_any_cef_reads_the_same_both_ways",),
    ),
    Mutation(
        "the kernel takes a key in the JSON of an unknown key for one",
        "kernel/pairs.c",
        "return first == '[' || first == '{';",
        "return false;",
        ("events/test_variants.py::TestJsonInAnyKey::test_key_that_the_server_did_not_write_is_none",),
    ),
    Mutation(
        "the kernel takes no quote in JSON for the end of a string",
        "kernel/pairs.c",
        "in_string = !in_string;",
        "in_string = true;",
        ("events/test_scan_agrees.py::test_nearly_all_forged_events_are_taken_by_the_fast_reader",),
    ),
    Mutation(
        "the kernel says nothing of a sign that is left in a value of the server's own",
        "kernel/pairs.c",
        "return !(cutter->keys[key].kind & FREE_TEXT) && ",
        "return false && ",
        ("events/test_variants.py::TestKeys",),
    ),
    Mutation(
        "the kernel takes the last value of a key that comes twice",
        "kernel/pairs.c",
        "known->seen == record || known->kind & UNEXPECTED",
        "known->kind & UNEXPECTED",
        ("events/test_variants.py::TestJsonInAnyKey::test_without_brackets_that_close_the_servers_own_value_counts",),
    ),
    Mutation(
        "the kernel believes a late key right behind a client's text",
        "kernel/pairs.c",
        "if (early && (cutter->keys[next].kind & LATE))",
        "if (false)",
        ("events/test_scan_agrees.py::test_what_only_the_careful_reader_can_tell_is_left_to_it",),
    ),
    Mutation(
        "the kernel counts blank lines",
        "kernel/lines.c",
        "lines += place < end;",
        "lines += 1;",
        ("events/test_lines.py::test_the_tally_is_that_of_a_loop",),
    ),
    Mutation(
        "the kernel counts a signature by its two ends",
        "kernel/lines.c",
        "text.size - place >= sought.size && memcmp(text.at + place, sought.at, (size_t)sought.size) == 0;",
        "text.size - place >= sought.size;",
        ("events/test_count_text.py::test_it_is_counted_as_bytes_do",),
    ),
    Mutation(
        "the kernel counts brackets behind an escaped quote",
        "kernel/values.c",
        "            place += byte == '\\\\';\n",
        "",
        ("events/test_count_values.py",),
    ),
    Mutation(
        "the kernel takes two headers of one name for two",
        "kernel/headers.c",
        "            repeats |= last[header->code] == (uint32_t)row + 1;\n",
        "",
        ("events/test_derived.py::TestHeaders",),
    ),
    Mutation(
        "the kernel reads headers with escapes as if there were none",
        "kernel/headers.c",
        "|| find_byte(text, begin, end, '\\\\') < end)",
        ")",
        ("events/test_derived.py::TestHeaders",),
    ),
    Mutation(
        "the kernel puts names into lower case as if they were ASCII",
        "kernel/headers.c",
        " || !is_ascii(text, name, name_end)",
        "",
        ("events/test_derived.py::TestHeaders",),
    ),
    Mutation(
        "the kernel ends a W3C value at a quote that is doubled",
        "kernel/rows.c",
        """if (byte == '"' && following != '"')""",
        """if (byte == '"')""",
        ("events/test_w3c_rows.py::test_blanks_around_a_value_are_not_odd",),
    ),
    Mutation(
        "the kernel writes bits for more rows than there is room for",
        "kernel/texts.c",
        " || valid.size != (codes.rows + ends.rows) * size)",
        ")",
        ("events/test_kernel_bounds.py::test_bits_for_other_rows_than_there_are",),
    ),
    Mutation(
        "the kernel takes the first distinct text of a column for none",
        "kernel/texts.c",
        "mark_valid(code, rows, 0, bits);",
        "mark_valid(code, rows, 1, bits);",
        ("events/test_kernel_bounds.py::test_bits_of_the_rows_that_have_a_text",),
    ),
]
