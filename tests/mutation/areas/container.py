"""How the container of a log is read."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

MUTATIONS = [
    Mutation(
        "a body that ends before its stream is taken as complete",
        "container/inflate.py",
        '                raise TruncatedError("the compressed body ends before its end", do=_DO, about=log)\n',
        "                return b''\n",
        ("container/test_decode.py::TestDamaged",),
    ),
    Mutation(
        "checksum not compared",
        "container/decode.py",
        'checksum_ok = None if expected is None else digest.hexdigest().lstrip("0") == expected.lstrip("0")',
        "checksum_ok = None if expected is None else True",
        ("container/test_decode.py::TestPolicy",),
    ),
    Mutation(
        "log split at every separator",
        "container/header.py",
        "separator = _SEPARATOR.search(top, 0, HEADER_LIMIT)",
        "separator = next(reversed([*_SEPARATOR.finditer(top, 0, HEADER_LIMIT)]), None)",
        ("container/test_header.py", "container/test_decode.py::TestWhole"),
    ),
    Mutation(
        "bytes that fill up the end are accepted without a checksum that verifies",
        "container/decode.py",
        "            if header is not None and header.checksum is not None:\n                with suppress",
        "            if True:\n                with suppress",
        ("container/test_decode.py::TestAround",),
    ),
    Mutation(
        "the header of a log gzipped as a whole is lost",
        "container/decode.py",
        "        if not begins_like_header(begin) and not (times > 1 and begin.startswith(GZIP_MAGIC)):\n",
        "        if True:\n",
        ("container/test_decode.py::TestAround",),
    ),
    Mutation(
        "of several logs in one object only the first has to verify",
        "container/decode.py",
        "        if not part.checksum_ok:\n            return None\n",
        "        if not part.checksum_ok and not parts:\n            return None\n",
        ("container/test_decode.py::TestAround",),
    ),
    Mutation(
        "a checksum is compared as text, not as a number",
        "container/decode.py",
        'digest.hexdigest().lstrip("0") == expected.lstrip("0")',
        "digest.hexdigest() == expected",
        ("container/test_decode.py::TestWhole",),
    ),
    Mutation(
        "an answer of 0 bytes is an empty log",
        "container/decode.py",
        "    if not body.size and (header is None or header.checksum is None or header.encrypted):\n",
        "    if not body.size and header is None and header:\n",
        ("container/test_decode.py::TestDamaged",),
    ),
    Mutation(
        "a publicKeyId is quoted whatever it is",
        "container/crypto.py",
        "    if not _ID.fullmatch(public_key_id):\n",
        "    if not public_key_id:\n",
        ("container/test_decode.py::TestKeyId",),
    ),
    Mutation(
        "one bad file among the keys stops all of them",
        "container/keys.py",
        "        except ConfigurationError as error:\n            problems.append(str(error))\n",
        "        except ConfigurationError:\n            raise\n",
        ("container/test_keys.py",),
    ),
]
