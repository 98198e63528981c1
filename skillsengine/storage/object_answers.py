"""What S3 and Google Cloud Storage say when they refuse, in kinds that a text with the mend can be written for.

The libraries (botocore, s3fs, gcsfs, google-auth) are known by the names of their exceptions, so that none of them is needed to
tell what another one says.
"""

from __future__ import annotations

from enum import Enum, auto

from skillsengine.masking import mask_shapes


class Answer(Enum):
    """One kind of refusal."""

    AWAY = auto()
    """No answer, or one that may be another one soon: a retry may help."""
    CHANGED = auto()
    """Another state of the object came while it was read."""
    EXPIRED = auto()
    SKEWED = auto()
    """This machine's clock is wrong."""
    REFUSED = auto()
    """The credentials are not accepted."""
    NO_CREDENTIALS = auto()
    DENIED = auto()
    """The credentials are known, and may not do this."""
    ELSEWHERE = auto()
    """The bucket is in another region."""
    NO_BUCKET = auto()
    GONE = auto()
    """There is no such object."""
    OTHER = auto()


_BY_CODE = {
    Answer.AWAY: (
        "SlowDown, ServiceUnavailable, InternalError, RequestTimeout, Throttling, 408, 429, 500, 502, 503, 504, "
        "OperationAborted, TooManyRequests"
    ),
    Answer.EXPIRED: "ExpiredToken, ExpiredTokenException, TokenRefreshRequired, RequestExpired",
    Answer.SKEWED: "RequestTimeTooSkewed",
    Answer.REFUSED: "InvalidAccessKeyId, SignatureDoesNotMatch, InvalidToken, AuthFailure, NotSignedUp, 401",
    Answer.DENIED: "AccessDenied, AllAccessDisabled, AccountProblem, InvalidObjectState, 403",
    Answer.ELSEWHERE: "PermanentRedirect, AuthorizationHeaderMalformed, IllegalLocationConstraintException, 301",
    Answer.NO_BUCKET: "NoSuchBucket",
    Answer.GONE: "NoSuchKey, 404",
}
_BY_KIND = {
    Answer.AWAY: (
        "EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError, ConnectionClosedError, ProxyConnectionError, "
        "HTTPClientError, ResponseStreamingError, IncompleteReadError, IncompleteRead, SSLError, FSTimeoutError, "
        "ClientConnectionError, ClientPayloadError, TransportError, RequestException, ResponseParserError, "
        "RetriesExceededError, ConnectionError, TimeoutError"
    ),
    Answer.CHANGED: "FileExpired",
    Answer.REFUSED: "RefreshError, MalformedError",
    Answer.NO_CREDENTIALS: (
        "NoCredentialsError, PartialCredentialsError, DefaultCredentialsError, ProfileNotFound, CredentialRetrievalError"
    ),
    Answer.DENIED: "PermissionError",
    Answer.GONE: "FileNotFoundError",
}
_CODES = {code: answer for answer, codes in _BY_CODE.items() for code in codes.split(", ")}
_KINDS = {kind: answer for answer, kinds in _BY_KIND.items() for kind in kinds.split(", ")}


def answer_of(error: BaseException) -> Answer:
    """The kind of refusal behind an exception of one of the libraries."""
    code, kinds = code_of(error), [kind.__name__ for kind in type(error).__mro__]
    by_code = _CODES.get(code) if code is not None else None
    by_kind = next((_KINDS[kind] for kind in kinds if kind in _KINDS), None)
    found = {by_code, by_kind}
    if str(error).startswith("Forbidden"):
        found.add(Answer.DENIED)
    # In the order of the declaration: what a retry may heal comes first, what says least comes last.
    return next((answer for answer in Answer if answer in found), Answer.OTHER)


def code_of(error: BaseException | None) -> str | None:
    """The store's own code, which is the same in every library's exceptions; from a cause, if the error has none."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code"))
        if (code := getattr(error, "code", None)) is not None and not isinstance(error, SystemExit):
            return str(code)
        error = error.__cause__
    return None


def reason(error: BaseException) -> str:
    """The first line of what was said, without anything that looks like a secret."""
    text = mask_shapes(str(error).strip()).split("\n")[0][:300].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
