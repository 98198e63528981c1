"""What S3, Google Cloud Storage and their libraries say when something is wrong, in words that name the place and the mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from skillsengine.sources.address import Address
from skillsengine.sources.errors import SourceChanged, SourceError, SourceUnavailable
from skillsengine.sources.files import SourceFile
from skillsengine.spec.masking import mask_shapes

_CREDENTIALS = {
    "s3": "data.connection (an Airflow connection of type `aws`) or the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE, a role)",
    "gs": "data.connection (an Airflow connection of type `google_cloud_platform`) or the environment "
    "(GOOGLE_APPLICATION_CREDENTIALS, the machine's service account)",
}
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"})
_REFUSED = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthFailure", "NotSignedUp", "401"}
)
_DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "InvalidObjectState", "403"})
_ELSEWHERE = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
)
_BUSY = frozenset(
    {
        "SlowDown",
        "ServiceUnavailable",
        "InternalError",
        "RequestTimeout",
        "Throttling",
        "408",
        "429",
        "500",
        "502",
        "503",
    }
    | {"504", "OperationAborted", "TooManyRequests"}
)
# By name, so that none of the libraries is needed to tell what another one says.
_AWAY = frozenset(
    {
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ConnectionClosedError",
        "ProxyConnectionError",
    }
    | {
        "HTTPClientError",
        "ResponseStreamingError",
        "IncompleteReadError",
        "IncompleteRead",
        "SSLError",
        "FSTimeoutError",
    }
    | {"ClientConnectionError", "ClientPayloadError", "TransportError", "RequestException", "ResponseParserError"}
)


def at_object(file: SourceFile) -> str:
    """`bucket/key` of an object's address."""
    return str(file.uri).partition("://")[2]


@contextmanager
def translated(address: Address, *, reading: bool = False) -> Iterator[None]:
    """What the libraries raise, as SourceError (a retry does not help) or SourceUnavailable (it may).

    SourceChanged, which is a SourceError, where another state of the object came while it was read.
    """
    try:
        yield
    except (SourceError, SourceUnavailable):
        raise
    except _kinds(address.scheme) as error:
        raise _told(error, address, reading) from error


def _kinds(scheme: str) -> tuple[type[Exception], ...]:
    """What the libraries for a scheme raise. Asked only once something was raised, so they are there."""
    from aiohttp import ClientError as HttpClientError

    if scheme == "s3":
        from botocore.exceptions import BotoCoreError, ClientError

        return (OSError, ValueError, HttpClientError, BotoCoreError, ClientError)
    from gcsfs.retry import HttpError, NonRetryableError
    from google.auth.exceptions import GoogleAuthError

    return (OSError, ValueError, HttpClientError, HttpError, NonRetryableError, GoogleAuthError)


def _told(error: Exception, address: Address, reading: bool) -> Exception:
    at, code, kinds = f"data.source {address.source}", _code(error), {kind.__name__ for kind in type(error).__mro__}
    credentials = _CREDENTIALS[address.scheme]
    if code in _BUSY or kinds & _AWAY or isinstance(error, (ConnectionError, TimeoutError)):
        return SourceUnavailable(
            f"{at}: the store does not answer ({_reason(error)}). Check the network and, if the connection names one, its "
            "endpoint_url; then try again."
        )
    if "FileExpired" in kinds:
        return SourceChanged(
            f"{address.source}: the object has changed while it was read. Run again once nothing writes to it: a new plan "
            "takes it as it is."
        )
    if code in _EXPIRED:
        return SourceError(
            f"{at}: the credentials have expired ({code}). Renew them in {credentials}; a session token lives for hours."
        )
    if code == "RequestTimeTooSkewed":
        return SourceError(
            f"{at}: this machine's clock is wrong ({_reason(error)}). Set it: requests are signed with the time."
        )
    if code in _REFUSED or kinds & {"RefreshError", "MalformedError"}:
        return SourceError(f"{at}: the credentials are not accepted ({_reason(error)}). Mend them in {credentials}.")
    if kinds & {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "ProfileNotFound"}:
        return SourceError(f"{at}: no credentials ({_reason(error)}). Give them by {credentials}.")
    if code in _DENIED or isinstance(error, PermissionError) or str(error).startswith("Forbidden"):
        return SourceError(
            f"{at}: access denied ({_reason(error)}). Whoever owns `{address.root}` has to allow these credentials (or "
            f"everybody, if there are none) to list the bucket and to read its objects; or take other "
            f"credentials in {credentials}."
        )
    if code in _ELSEWHERE:
        return SourceError(
            f"{at}: the bucket is in another region or at another endpoint ({_reason(error)}). Set region_name (or "
            "endpoint_url) in the connection's extra fields, or AWS_DEFAULT_REGION."
        )
    if isinstance(error, FileNotFoundError) and (code == "NoSuchBucket" or not reading):
        return SourceError(
            f"{at}: there is no bucket `{address.root}`. Check its name, and that the credentials and the endpoint are those "
            "of the account that it is in."
        )
    if isinstance(error, FileNotFoundError):
        return SourceError(
            f"{address.source}: the object is not there any more; it was there when the plan was made. Put it back, or run "
            "again so that a new plan is made."
        )
    return SourceError(
        f"{at}: cannot be read: {_reason(error)}. Check the bucket's name, that the credentials have not expired, and the "
        "endpoint_url and the other fields of the connection."
    )


def _code(error: BaseException | None) -> str | None:
    """The store's own code, which is the same in every library's exceptions; from a cause, if the error has none."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code"))
        if (code := getattr(error, "code", None)) is not None and not isinstance(error, SystemExit):
            return str(code)
        error = error.__cause__
    return None


def _reason(error: Exception) -> str:
    """The first line of what was said, without anything that looks like a secret."""
    text = mask_shapes(str(error).strip()).split("\n")[0][:300].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
