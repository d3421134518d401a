"""What is taken from an inbox."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

MUTATIONS = [
    Mutation(
        "names that are no UTF-8 as Python has them",
        "delivery/folder.py",
        'DeliveredObject(as_text(entry["name"].removeprefix(f"{self._root}/")), ',
        'DeliveredObject(entry["name"].removeprefix(f"{self._root}/"), ',
        ("delivery/test_delivered_loads.py::test_a_name_of_any_bytes_is_loaded_and_stops_no_other",),
    ),
    Mutation(
        "what is delivered is taken while it is being written",
        "delivery/folder.py",
        "            elif modified <= latest:\n",
        "            else:\n",
        ("delivery/test_delivered_loads.py::test_placeholders_and_the_test_of_the_console_are_passed_over",),
    ),
    Mutation(
        "an upload under way is read under the name it has until then",
        "delivery/folder.py",
        "    if is_partial(item.path):\n",
        "    if False:\n",
        ("delivery/test_uploads.py",),
    ),
    Mutation(
        "what is stuck under such a name is never told",
        "load/delivered.py",
        "if item.modified <= latest]",
        "if False]",
        ("delivery/test_uploads.py",),
    ),
    Mutation(
        "a clear log is loaded at once although its checksum says that it is not whole",
        "load/normalize.py",
        "        return settled is not None and self.planned_at - self.log.first_listed_at <= settled\n",
        "        return False\n",
        (
            "delivery/test_uploads.py::test_a_clear_log_whose_checksum_stays_wrong_is_loaded_with_a_warning_after_the_settle_time",
        ),
    ),
    Mutation(
        "a file that has grown is loaded beside the part of it that is loaded",
        "load/plan.py",
        "            may_have_grown_from=grown_from.get(log),\n",
        "",
        ("delivery/test_uploads.py::test_a_file_that_is_seen_while_it_grows_is_loaded_once",),
    ),
    Mutation(
        "after an outage a part is loaded beside what it has grown into",
        "load/plan.py",
        "            if later and is_larger:\n                grown[log]",
        "            if later and is_larger and at - item.since <= window:\n                grown[log]",
        ("delivery/test_uploads.py::test_a_file_that_is_seen_half_before_an_outage_and_whole_after_it_is_loaded_once",),
    ),
    Mutation(
        "a part that was held is loaded beside what it has grown into",
        "load/plan.py",
        "            may_have_grown_into=grown.get(log),\n",
        "",
        ("delivery/test_uploads.py",),
    ),
    Mutation(
        "a larger file under the same path takes the place of another, whatever it begins with",
        "load/growth.py",
        "                if after.read(len(chunk)) != chunk:\n",
        "                if not after.read(len(chunk)):\n",
        ("delivery/test_uploads.py::test_what_takes_the_place_of_a_held_log_is_loaded_beside_it",),
    ),
    Mutation(
        "what was rewritten after the listing is taken for what was listed",
        "delivery/folder.py",
        "        if now != item:\n",
        "        if not now:\n",
        ("delivery/test_delivered_loads.py::test_an_object_written_anew_before_it_is_cleared_away_stays",),
    ),
]
