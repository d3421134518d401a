"""Exports to OCSF: each row once, the same bytes again, and nothing that OCSF does not take."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

MUTATIONS = [
    Mutation(
        "rows of other batches in a merged part",
        "ocsf/rows.py",
        "own = self._own(table)",
        "own = table",
        ("ocsf/test_export.py::TestAgain::test_after_a_compaction_the_same_bytes_come_of_merged_parts",),
    ),
    Mutation(
        "rows that are missing",
        "ocsf/export.py",
        "if missing < 0 or (missing and not lake_state.may_lack_rows(commit.commit)):",
        "if missing < 0:",
        ("ocsf/test_export.py::TestRefused::test_rows_that_the_ledger_has_and_the_parts_have_not",),
    ),
    Mutation(
        "files of a replayed batch that stay",
        "ocsf/export.py",
        "        self.target.delete(deleted)\n",
        "",
        ("ocsf/test_export.py::TestAgain::test_a_replay_exports_again_in_place_of_what_was",),
    ),
    Mutation(
        "rows that a later commit loaded again",
        "ocsf/rows.py",
        "return self._superseded.get(batch_id, 0) > batch_id.commit",
        "return False",
        ("ocsf/test_export.py::TestAgain::test_what_was_replayed_before_it_was_exported_comes_once",),
    ),
    Mutation(
        "an endpoint of a site whose name is none of a host",
        "ocsf/events.py",
        "host = keep(site, is_hostname)",
        "host = keep(site, lambda text: True)",
        ("ocsf/test_mapping.py::test_odd_rows_and_incidents_validate",),
    ),
    Mutation(
        "an export with other settings under the same name",
        "lake/exports.py",
        "elif noted != settings:",
        "elif False:",
        ("ocsf/test_export.py::TestRefused::test_other_settings_under_the_same_name",),
    ),
]
