"""What it means when a lake's store refuses: in words, with what to do, and without quoting what the server sent."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from airflow_provider_imperva.errors import ImpervaError, LakeError, ObjectExistsError


class _Meaning(NamedTuple):
    problem: str
    do: str


_NO_BUCKET = _Meaning("there is no such bucket", "Create it, or correct the lake's URI")
_UNKNOWN = _Meaning(
    "the store does not accept the credentials",
    "Correct login and password of the lake's connection, or the credentials of this machine",
)
_NO_CREDENTIALS = _Meaning(
    "there are no credentials for the store",
    "Make an Airflow connection of type aws and give its id as lake_conn_id, or give this machine's workers and"
    " triggerer a role or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
)
_EXPIRED = _Meaning(
    "the credentials have expired",
    "Renew them, or use a role that renews them by itself; the next try goes on from here",
)
_FORBIDDEN = _Meaning(
    "the credentials do not allow this",
    "Allow them to list the bucket, and to read, write and delete below the lake's root"
    " (s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload, with a KMS key also"
    " kms:GenerateDataKey and kms:Decrypt)",
)
_ELSEWHERE = _Meaning(
    "the bucket is in another region or behind another endpoint",
    "Set region_name or endpoint_url in the extra of the lake's connection",
)
_BUSY = _Meaning(
    "the store asks to slow down, in every attempt",
    "Wait and run again; if it lasts, load fewer batches at once",
)
_KMS = _Meaning(
    "the store cannot use the KMS key",
    "Correct SSEKMSKeyId, enable the key, or allow the credentials to use it",
)
_UNSUPPORTED = _Meaning(
    "the store does not know what was asked of it",
    "Leave out what it has not (such as ACL, Tagging, ServerSideEncryption) in s3_additional_kwargs",
)
_UNREACHABLE = _Meaning("the store cannot be reached", "Check endpoint and network; the next try goes on from here")
_FULL = _Meaning(
    "no space is left on the lake's disk or that of TMPDIR", "Make room; nothing half-written is to be seen"
)
_READ_ONLY = _Meaning(
    "this user may not read and write there", "Give the user of Airflow's workers access to the lake's folder"
)
_OTHER_DISK = _Meaning(
    "this folder of the lake is a link to another disk than the lake's root, where an object cannot appear whole",
    "Mount the other disk at the lake's root, or move the whole lake to it, so that all its folders are on one disk",
)
_NO_FOLDER = _Meaning("there is a file where the lake needs a folder", "Correct the lake's URI, or move that file away")
_OTHER = _Meaning(
    "the store fails", "Check that the lake can be written to, and that its store is up; the next try goes on from here"
)

_BY_CODE = {
    code: meaning
    for meaning, codes in {
        _NO_BUCKET: "NoSuchBucket InvalidBucketName",
        _UNKNOWN: "InvalidAccessKeyId SignatureDoesNotMatch AuthorizationHeaderMalformed InvalidSecurity NotSignedUp"
        " InvalidClientTokenId UnrecognizedClientException",
        _EXPIRED: "ExpiredToken ExpiredTokenException TokenRefreshRequired InvalidToken RequestExpired",
        _FORBIDDEN: "AccessDenied AllAccessDisabled AccountProblem Forbidden 403",
        _ELSEWHERE: "PermanentRedirect TemporaryRedirect Redirect IllegalLocationConstraintException 301 307",
        _BUSY: "SlowDown ServiceUnavailable RequestLimitExceeded Throttling ThrottlingException TooManyRequests 503",
        _KMS: "KMS.NotFoundException KMS.DisabledException KMS.KMSInvalidStateException KMS.InvalidStateException",
        _UNSUPPORTED: "NotImplemented InvalidEncryptionAlgorithmError AccessControlListNotSupported MalformedACLError"
        " InvalidTag InvalidStorageClass 501",
        _FULL: "QuotaExceeded XMinioStorageFull InsufficientStorage 507",
    }.items()
    for code in codes.split()
}
"""What the codes of S3's answers mean; a HEAD request has only the status."""

_BY_TYPE = {
    "NoCredentialsError": _NO_CREDENTIALS,
    "PartialCredentialsError": _NO_CREDENTIALS,
    "CredentialRetrievalError": _EXPIRED,
    "TokenRetrievalError": _EXPIRED,
    "UnauthorizedSSOTokenError": _EXPIRED,
    "EndpointConnectionError": _UNREACHABLE,
    "ConnectTimeoutError": _UNREACHABLE,
    "ReadTimeoutError": _UNREACHABLE,
    "ConnectionClosedError": _UNREACHABLE,
    "HTTPClientError": _UNREACHABLE,
    "ParamValidationError": _UNSUPPORTED,
}
"""What errors mean that come before any answer of the server, by the names they have in botocore."""

_BY_ERRNO = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.EXDEV: _OTHER_DISK,
    errno.ENOTDIR: _NO_FOLDER,
}


def server_code(error: BaseException | None) -> str | None:
    """Return the code in the server's answer that an error goes back to; None if there was no such answer."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return None


def already_there(uri: str) -> ObjectExistsError:
    """Return the error that an object exists which must not."""
    return ObjectExistsError("the object is there already", do="Read it instead of writing it", about=uri)


def no_links(uri: str) -> LakeError:
    """Return the error that a disk cannot create an object only if it does not exist."""
    return LakeError(
        "this disk has no hard links, without which two runs could write the same plan",
        do="Keep the lake on a disk that has them (not FAT, nor some network shares), or on S3",
        about=uri,
    )


def no_folder(path: str) -> LakeError:
    """Return the error that a file is in the place of a folder."""
    return LakeError(_NO_FOLDER.problem, do=_NO_FOLDER.do, about=path)


def failure(error: BaseException, *, about: str) -> LakeError:
    """Return what a store's error means.

    :param about: the object's address.
    """
    code = server_code(error)
    meaning = (
        _BY_CODE.get(code or "")
        or _BY_TYPE.get(type(error).__name__)
        or _BY_ERRNO.get(getattr(error, "errno", None) or 0)
        # In writing, that a path does not exist can only mean its bucket.
        or (_NO_BUCKET if isinstance(error, FileNotFoundError) else _OTHER)
    )
    return LakeError(f"{meaning.problem} ({code or type(error).__name__})", do=meaning.do, about=about)


@contextmanager
def failing(about: str, *, reading: bool = False) -> Iterator[None]:
    """Turn whatever a store's library raises into a :class:`LakeError`, and leave out its text: a secret may be in it.

    :param reading: whether ``FileNotFoundError`` means that there is no such object, and passes.
    """
    try:
        yield
    except ImpervaError:
        raise
    except FileNotFoundError as error:
        if reading and server_code(error) != "NoSuchBucket":
            raise
        raise failure(error, about=about) from None
    except Exception as error:
        raise failure(error, about=about) from None


@contextmanager
def failing_disk(about: str) -> Iterator[None]:
    """Turn what a disk refuses into a :class:`LakeError`; all other errors pass, since the block may raise its own."""
    try:
        yield
    except OSError as error:
        if error.errno in _BY_ERRNO:
            raise failure(error, about=about) from error
        raise
