"""Forwarding: what is sent, and what the lake says of it."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

MUTATIONS = [
    Mutation(
        "secrets in the exact bytes of lines that are not UTF-8",
        "forward/commits.py",
        "if number not in changed}",
        "}",
        ("forward/test_choice.py::test_no_secret_leaves_in_any_format",),
    ),
    Mutation(
        "a lake with pseudonyms whose lines go out by name",
        "forward/send.py",
        "        if self.names_people or self._pseudonyms:\n",
        "        if True:\n",
        ("forward/test_pseudonyms.py::test_without_a_word_nothing_is_sent",),
    ),
    Mutation(
        "a masked address in a field that takes addresses only",
        "forward/ecs.py",
        "if field in _ADDRESSES and not _is_address(converted):",
        "if False:",
        ("forward/test_formats.py::test_ecs_has_only_addresses_in_fields_of_the_type_ip",),
    ),
    Mutation(
        "a commit noted before its last acknowledgement",
        "forward/send.py",
        "            self.transport.settle()\n        except _ProgressMismatchError:\n",
        "        except _ProgressMismatchError:\n",
        ("forward/test_http_destinations.py::TestHec::test_what_is_never_confirmed_is_not_settled",),
    ),
    Mutation(
        "progress that is believed whatever lines it is of",
        "forward/send.py",
        "if self.messages == self.skipped and self.digest.hexdigest() != self._expected():",
        "if False:",
        ("forward/test_send.py::test_progress_of_other_lines_is_not_believed",),
    ),
    Mutation(
        "sent farther ahead than a window",
        "forward/send.py",
        "                self.transport.settle()\n                self._note()\n",
        "                pass\n",
        ("forward/test_send.py::test_no_more_than_a_window_is_sent_ahead_of_what_the_lake_knows",),
    ),
    Mutation(
        "a lost beginning that leaves commits out",
        "forward/send.py",
        "first=1 if sent else self._first(start),",
        "first=self._first(start),",
        ("forward/test_send.py::test_a_lost_beginning_leaves_nothing_out",),
    ),
    Mutation(
        "a broken connection that is only opened again",
        "forward/stream.py",
        "                for content, _ in self._recent:\n                    self._link.write(content)\n",
        "                pass\n",
        ("forward/test_rsyslog.py::test_a_receiver_that_is_killed_again_and_again_misses_nothing",),
    ),
    Mutation(
        "a receiver that hangs taken for one that has read everything",
        "forward/link.py",
        "        except TimeoutError:\n            raise DestinationUnavailableError(\n",
        "        except TimeoutError:\n            return\n            raise DestinationUnavailableError(\n",
        ("forward/test_rsyslog.py::test_a_receiver_that_hangs_is_told_and_nothing_is_noted",),
    ),
    Mutation(
        "a receiver that never acknowledges is sent the same for ever",
        "forward/relp.py",
        "                in_vain += 1\n",
        "",
        ("forward/test_bad_input.py::test_a_receiver_by_relp_that_never_acknowledges_is_given_up",),
    ),
    Mutation(
        "messages without an acknowledgement that are forgotten",
        "forward/relp.py",
        "                self._session.write(self._unacknowledged)\n",
        "                self._unacknowledged.clear()\n",
        ("forward/test_rsyslog.py::test_a_receiver_that_is_killed_again_and_again_misses_nothing",),
    ),
    Mutation(
        "certificates that nobody checks",
        "forward/address.py",
        "if self.verify is False:",
        "if True:",
        ("forward/test_rsyslog.py::test_a_certificate_of_a_strange_authority_is_refused",),
    ),
    Mutation(
        "a token that follows a redirect",
        "forward/http.py",
        "allow_redirects=False,",
        "allow_redirects=True,",
        ("forward/test_http_destinations.py::test_a_redirect_is_not_followed",),
    ),
    Mutation(
        "other bytes in raw/ sent as those of the log",
        "forward/commits.py",
        "if sha256 != log.raw_sha256:",
        "if False:",
        ("forward/test_send.py::test_a_log_that_is_gone_from_raw_is_named_and_the_rest_is_sent",),
    ),
    Mutation(
        "a log that is missing for no reason taken as removed by retention",
        "forward/removals.py",
        "                return None\n",
        "                return self._first\n",
        ("forward/test_removed.py::test_bytes_that_no_commit_removed_are_still_missing",),
    ),
    Mutation(
        "a removal from raw/ believed that no commit says",
        "audit/forwarding.py",
        "if by <= history.last and not _removed(history, log, by):",
        "if False:",
        ("forward/test_removed.py::test_verify_finds_a_commit_that_removed_nothing",),
    ),
    Mutation(
        "a document that is there already counted as refused",
        "forward/bulk.py",
        "result.status >= 300 and result.status != _CONFLICT",
        "result.status >= 300",
        ("forward/test_http_destinations.py::TestBulk::test_sending_again_changes_nothing",),
    ),
    Mutation(
        "what Splunk forgot taken as indexed",
        "forward/hec.py",
        "if done and name.isdigit()",
        "if name.isdigit()",
        ("forward/test_http_destinations.py::TestHec",),
    ),
]
