"""What a proof rests on: signatures, anchors, times, claims, and that objects are looked at."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

_ATTACKS = ("audit/test_insider.py",)

MUTATIONS = [
    Mutation(
        "a signature that does not verify is good",
        "seal/signature.py",
        "        except (InvalidSignature, ValueError):\n",
        "        except ValueError:\n",
        ("seal/test_signature.py::test_no_bit_of_it_can_be_changed",),
    ),
    Mutation(
        "a key that nobody trusts vouches for a commit",
        "seal/signature.py",
        "        if key is None:\n",
        "        if key is None and not self._keys:\n",
        ("seal/test_signature.py::test_another_key_vouches_for_nothing",),
    ),
    Mutation(
        "a commit need not be signed after one that is",
        "audit/signatures.py",
        "        if self.first is None:\n            return\n",
        "        if not commit.signature:\n            return\n",
        ("audit/test_sealed_commits.py::test_a_ledger_may_begin_to_be_signed_and_change_its_key",),
    ),
    Mutation(
        "a ledger of which no commit is signed passes with a public key",
        "audit/signatures.py",
        "        if self.first is None and self._head is not None:\n",
        "        if False:\n",
        _ATTACKS,
    ),
    Mutation(
        "a commit that was noted elsewhere need not be in the chain",
        "audit/reading.py",
        "        if there != anchor.sha256:\n",
        "        if there is not None and there != anchor.sha256:\n",
        _ATTACKS,
    ),
    Mutation(
        "a repository that an anchor names may be gone",
        "audit/verify.py",
        "        if name not in there:\n",
        "        if False:\n",
        _ATTACKS,
    ),
    Mutation(
        "a commit may be made in the future",
        "audit/times.py",
        "    if committed > at + SKEW:\n",
        "    if False:\n",
        _ATTACKS,
    ),
    Mutation(
        "events may lie under any date",
        "audit/objects.py",
        "    if outside := pc.sum(pc.invert(inside)).as_py():\n",
        "    if outside := 0:\n",
        _ATTACKS,
    ),
    Mutation(
        "the intent of a batch that wrote parts may be gone",
        "audit/intents.py",
        "            if report.parts and not any(",
        "            if False and not any(",
        ("audit/test_insider.py", "audit/test_verify.py"),
    ),
    Mutation(
        "a claim may name a log with another content",
        "audit/contents.py",
        "            elif known.sha256 != named[3] and",
        "            elif False and",
        _ATTACKS,
    ),
    Mutation(
        "an arrival may be planted",
        "audit/arrivals.py",
        "        if page.last > known and passed:\n",
        "        if False:\n",
        _ATTACKS,
    ),
    Mutation(
        "decoding again compares nothing but lines",
        "audit/redo.py",
        "    if different:\n",
        "    if False:\n",
        _ATTACKS,
    ),
    Mutation(
        "a certificate is issued of objects that are gone",
        "audit/certificate.py",
        "    if looked and looked.findings:\n",
        "    if False:\n",
        ("audit/test_certificate.py::test_a_certificate_is_not_issued_of_what_is_gone",),
    ),
    Mutation(
        "what was not looked at is complete",
        "audit/verdict.py",
        "    if not looked:\n",
        "    if False:\n",
        ("audit/test_certificate.py::test_one_by_the_ledger_alone_says_so_and_is_never_complete",),
    ),
    Mutation(
        "a certificate's times of the head are not compared",
        "audit/certified.py",
        "    elif commit and told != Head(",
        "    elif False and told != Head(",
        ("audit/test_certificate.py::test_an_edited_certificate_does_not_hold",),
    ),
    Mutation(
        "a certificate need not be signed",
        "audit/certified.py",
        "        done.findings.append(Finding(Kind.SIGNATURE, about, objection))\n",
        "        pass\n",
        _ATTACKS,
    ),
    Mutation(
        "a broken chain can be accepted",
        "audit/verify.py",
        "item.kind not in _NEVER_ACCEPTED and ",
        "",
        ("audit/test_acceptance.py::test_a_broken_chain_is_never_accepted",),
    ),
    Mutation(
        "a commit accepts what its plan did not",
        "audit/entry.py",
        "    if plan.accepts != commit.accepts:\n",
        "    if False:\n",
        ("audit/test_acceptance.py::test_what_the_plan_did_not_accept_is_no_exception",),
    ),
    Mutation(
        "a paper of the evidence that was edited passes",
        "cli/evidence.py",
        "            if files.get(paper) != content:\n",
        "            if False:\n",
        ("audit/test_evidence.py::test_an_edited_paper_is_found_even_if_its_sum_is_made_anew",),
    ),
    Mutation(
        "a certificate of the whole lake that was edited passes",
        "cli/evidence.py",
        "        if without_signature(content) != without_signature(certify_lake(issued)):\n",
        "        if False:\n",
        ("audit/test_evidence.py::test_one_certificate_is_of_the_whole_lake",),
    ),
    Mutation(
        "a place of anchors that is down is passed over",
        "operators/imperva.py",
        "        if unanchored := self._anchor(",
        "        if unanchored := False and self._anchor(",
        ("dag/test_commit_operator.py::test_a_place_of_anchors_that_does_not_answer_makes_the_run_red",),
    ),
]
