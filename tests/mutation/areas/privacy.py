"""Privacy: what may not be written in clear."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

MUTATIONS = [
    Mutation(
        "rows are written as they are",
        "load/normalize.py",
        "                self.parts.add(clean.events, clean.quarantined, redacted=clean.counts)\n",
        "                self.parts.add(parsed.events, parsed.quarantined, redacted=clean.counts)\n",
        ("privacy/test_protected_loads.py::TestOnByDefault",),
    ),
    Mutation(
        "lines in quarantine are written as they are",
        "privacy/redact.py",
        "            quarantined = self._quarantined(quarantined, counts) if quarantined.num_rows else quarantined\n",
        "",
        ("privacy/test_planted.py::test_no_planted_secret_is_left_by_a_whole_run",),
    ),
    Mutation(
        "what has no column is written as it is",
        "privacy/redact.py",
        '        if changed := self._extra(_one_chunk(events["extra"]), counts):\n',
        "        if changed := None:\n",
        ("privacy/test_planted.py::test_no_planted_secret_is_left_by_a_whole_run",),
    ),
    Mutation(
        "a name in extra makes nothing secret",
        "privacy/redact.py",
        "        secret = self._named(names, texts)\n",
        "        secret = pa.array(np.zeros(len(names), np.bool_))\n",
        ("privacy/test_protected_loads.py::TestOnByDefault::test_what_a_name_in_extra_makes_secret",),
    ),
    Mutation(
        "texts that were cut at commas are looked at piece by piece",
        "privacy/redact.py",
        '    return pc.binary_join(pa.ListArray.from_arrays(offsets, texts, mask=pc.is_null(values)), ",")\n',
        '    return pc.binary_join(pa.ListArray.from_arrays(offsets, texts, mask=pc.is_null(values)), "]")\n',
        ("privacy/test_planted.py::test_with_all_rules_none_is_left",),
    ),
    Mutation(
        "host, path, TLS version and cipher stay as they were cut",
        "privacy/redact.py",
        "        for name in [name for name in _PARTS if name in changes]:\n",
        "        for name in ():\n",
        (
            "privacy/test_protected_loads.py::TestOnByDefault::test_host_and_path_follow_the_redacted_url",
            "privacy/test_planted.py::test_with_all_rules_none_is_left",
        ),
    ),
    Mutation(
        "nested parameters are not looked at",
        "privacy/patterns.py",
        "_DEPTHS = (1, 2)\n",
        "_DEPTHS = ()\n",
        ("privacy/test_rules.py::test_the_value_is_replaced_and_the_rest_stays",),
    ),
    Mutation(
        "an encoded name is another name",
        "privacy/redact.py",
        "    plain = after = _decode_unreserved(texts)\n",
        "    plain = after = texts\n",
        ("privacy/test_rules.py::test_the_value_is_replaced_and_the_rest_stays",),
    ),
    Mutation(
        "any digits are a card's",
        "privacy/checks.py",
        "    return (doubled + sum(digits[-1::-2])) % 10 == 0\n",
        "    return True\n",
        ("privacy/test_look_alikes.py",),
    ),
    Mutation(
        "a rule of redaction that has changed is not part of the outcome",
        "load/normalize.py",
        "(__version__, options.keep_raw, options.protection.fingerprint, logs, left_open)",
        "(__version__, options.keep_raw, logs, left_open)",
        ("privacy/test_protected_loads.py::test_an_attempt_with_other_rules_may_not_take_the_place_of_the_first",),
    ),
    Mutation(
        "what was redacted in rows that were dropped counts",
        "lake/parts.py",
        "        self._redacted = Counter(mark.redacted)\n",
        "",
        ("privacy/test_protected_loads.py::TestOnByDefault::test_a_log_whose_rows_are_dropped_counts_for_nothing",),
    ),
    Mutation(
        "with pseudonyms, lines in quarantine still name people",
        "privacy/protection.py",
        "            quarantined = self.pseudonyms.replace_quarantined(quarantined)\n",
        "",
        ("privacy/test_pseudonyms.py::TestLake",),
    ),
    Mutation(
        "values of a person in extra stay in clear",
        "privacy/pseudonyms.py",
        '            events = _with(events, "extra", self._extra(extra))\n',
        "            pass\n",
        ("privacy/test_pseudonyms.py::test_nobody_is_named_and_rows_can_be_joined",),
    ),
    Mutation(
        "an address in a header stays in clear",
        "privacy/pseudonyms.py",
        "        for name in HEADER_TEXTS if self._has_addresses else ():\n",
        "        for name in ():\n",
        ("privacy/test_pseudonyms.py::test_addresses_in_headers_and_unknown_keys_have_the_same_pseudonyms",),
    ),
    Mutation(
        "an address under a key that no column has stays in clear",
        "privacy/pseudonyms.py",
        "        return text if of_nobody or not self._has_addresses else self.in_text(text)\n",
        "        return text\n",
        ("privacy/test_pseudonyms.py::test_addresses_in_headers_and_unknown_keys_have_the_same_pseudonyms",),
    ),
]
