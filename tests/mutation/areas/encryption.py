"""Encryption at rest: that it hides, that nothing can be exchanged, and that a destroyed key is one."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

_RAW = "lake/test_encrypted_raw.py"
_SEALED = "lake/test_sealed.py"

MUTATIONS = [
    Mutation(
        "logs are written in clear although there is a key",
        "lake/raw.py",
        "            content = seal(content, key=key, name=name, path=path)\n",
        "            seal(content, key=key, name=name, path=path)\n",
        (f"{_RAW}::TestLoading",),
    ),
    Mutation(
        "an object decrypts in the place of another",
        "lake/sealed.py",
        "    info = header[:-_SALT_BYTES] + path.encode()\n",
        "    info = header[:-_SALT_BYTES]\n",
        (_SEALED,),
    ),
    Mutation(
        "the end of an object can be cut off",
        "lake/sealed.py",
        '    return number.to_bytes(11, "big") + bytes([is_last])\n',
        '    return number.to_bytes(12, "big")\n',
        (_SEALED,),
    ),
    Mutation(
        "chunks can be exchanged",
        "lake/sealed.py",
        '    return number.to_bytes(11, "big") + bytes([is_last])\n',
        "    return bytes(11) + bytes([is_last])\n",
        (_SEALED,),
    ),
    Mutation(
        "every object of a month has the same key",
        "lake/sealed.py",
        "bytes.fromhex(name.id) + os.urandom(_SALT_BYTES)",
        "bytes.fromhex(name.id) + bytes(_SALT_BYTES)",
        (_SEALED,),
    ),
    Mutation(
        "without the key a log goes to an encrypted lake in clear",
        "lake/data_keys.py",
        "        elif months := self.months():\n",
        "        elif months := []:\n",
        (f"{_RAW}::TestLoading",),
    ),
    Mutation(
        "a wrapped key opens for another month",
        "lake/data_keys.py",
        "wrapped[_NONCE_BYTES:], about.encode())",
        "wrapped[_NONCE_BYTES:], None)",
        (_SEALED,),
    ),
    Mutation(
        "an object that does not decrypt stops its batch",
        "load/normalize.py",
        "            except SealedObjectError as error:\n                file, received = io.BytesIO(), error\n",
        "            except ZeroDivisionError:\n                raise\n",
        (f"{_RAW}::TestLoading",),
    ),
    Mutation(
        "the stored bytes are not compared",
        "audit/objects.py",
        "            if named.stored_sha256 and (stored",
        "            if False and (stored",
        (f"{_RAW}::TestVerify",),
    ),
    Mutation(
        "with the key verify proves no more than without",
        "audit/objects.py",
        '            sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]\n'
        "            if not sha256.startswith(named.sha256):\n"
        '                return _altered(named, f"its SHA-256 is {sha256}, {named.by} says {named.sha256}")\n'
        "            return Checked(named, ())\n",
        "            return Checked(named, ())\n",
        (f"{_RAW}::TestVerify",),
    ),
    Mutation(
        "a data key that is missing is not missed",
        "audit/encryption.py",
        "        if record is None:\n",
        "        if False:\n",
        (f"{_RAW}::TestVerify",),
    ),
    Mutation(
        "a key that was destroyed behind the ledger's back is not noticed",
        "audit/encryption.py",
        "    if said == by or",
        "    if True or",
        ("lake/test_encrypted_raw.py::TestDestroyedKeys::test_a_key_that_was_destroyed_without_a_commit_is_found",),
    ),
    Mutation(
        "a destroyed key is still there",
        "lake/data_keys.py",
        'msgspec.structs.replace(record, wrapped_by="", wrapped="", destroyed=destroyed)',
        "msgspec.structs.replace(record, destroyed=destroyed)",
        (f"{_RAW}::TestDestroyedKeys",),
    ),
    Mutation(
        "a key is destroyed by a run that ends in time only",
        "lake/commit.py",
        "    for month in commit.destroys:\n",
        "    for month in ():\n",
        (f"{_RAW}::TestDestroyedKeys",),
    ),
    Mutation(
        "a bucket with versions gives a destroyed key back",
        "lake/data_keys.py",
        "        self._store.purge(path)\n",
        "",
        ("lake/test_object_lock.py::test_a_data_key_that_is_destroyed_is_in_no_version",),
    ),
    Mutation(
        "the ledger is not locked",
        "lake/bucket.py",
        '_LOCKED = ("raw/", "ledger/")\n',
        '_LOCKED = ("raw/",)\n',
        ("lake/test_object_lock.py::test_what_is_written_to_raw_and_ledger_cannot_be_deleted",),
    ),
    Mutation(
        "a bucket without object lock is written to all the same",
        "lake/bucket.py",
        "                    raise no_object_lock(self.uri()) from None\n",
        "                    return {}\n",
        ("lake/test_object_lock.py::test_a_bucket_without_it_is_refused_before_anything_is_written",),
    ),
    Mutation(
        "of two tasks that make a key at once each uses its own",
        "lake/data_keys.py",
        "        made = self.record(month)\n",
        "        made = record\n",
        (f"{_RAW}::TestLoading",),
    ),
    Mutation(
        "a hold keeps no data key",
        "retention/destroy.py",
        "    _stop_if_held(ledger, last, month)\n",
        "",
        ("lake/test_encrypted_raw.py::TestDestroyedKeys::test_a_hold_is_in_the_way",),
    ),
    Mutation(
        "a key goes although logs of its month are not loaded",
        "retention/destroy.py",
        "    _stop_if_needed(ledger, last, month)\n",
        "",
        ("lake/test_encrypted_raw.py::TestDestroyedKeys::test_bytes_that_are_still_needed_are_in_the_way",),
    ),
    Mutation(
        "a replay does not know of destroyed keys",
        "load/replay.py",
        "        gone |= {month: _describe_destruction(commit, month) for month in commit.destroys}\n",
        "",
        (f"{_RAW}::TestDestroyedKeys",),
    ),
    Mutation(
        "data keys go to Vault in clear",
        "hooks/vault.py",
        '        if not url.startswith("https://") and not _LOOPBACK.fullmatch(url):\n',
        "        if False:\n",
        ("lake/test_master_keys.py::TestVault",),
    ),
    Mutation(
        "Vault does not bind a data key to what it is for",
        "hooks/vault.py",
        "        bound = base64.b64encode(about.encode()).decode()\n",
        "        bound = None\n",
        ("lake/test_master_keys.py::TestVault",),
    ),
]
