"""What S3, Google Cloud Storage and their libraries say when something is wrong, in words that name the place and the mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from skillsengine.sources.address import Address
from skillsengine.sources.errors import SourceChanged, SourceError, SourceUnavailable
from skillsengine.sources.files import SourceFile
from skillsengine.storage.object_answers import Answer, answer_of, code_of, reason

_CREDENTIALS = {
    "s3": "data.connection (an Airflow connection of type `aws`) or the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE, a role)",
    "gs": "data.connection (an Airflow connection of type `google_cloud_platform`) or the environment "
    "(GOOGLE_APPLICATION_CREDENTIALS, the machine's service account)",
}


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
    at, answer = f"data.source {address.source}", answer_of(error)
    credentials = _CREDENTIALS[address.scheme]
    if answer is Answer.AWAY:
        return SourceUnavailable(
            f"{at}: the store does not answer ({reason(error)}). Check the network and, if the connection names one, its "
            "endpoint_url; then try again."
        )
    if answer is Answer.CHANGED:
        return SourceChanged(
            f"{address.source}: the object has changed while it was read. Run again once nothing writes to it: a new plan "
            "takes it as it is."
        )
    if answer is Answer.EXPIRED:
        return SourceError(
            f"{at}: the credentials have expired ({code_of(error)}). Renew them in {credentials}; a session token lives for "
            "hours."
        )
    if answer is Answer.SKEWED:
        return SourceError(
            f"{at}: this machine's clock is wrong ({reason(error)}). Set it: requests are signed with the time."
        )
    if answer is Answer.REFUSED:
        return SourceError(f"{at}: the credentials are not accepted ({reason(error)}). Mend them in {credentials}.")
    if answer is Answer.NO_CREDENTIALS:
        return SourceError(f"{at}: no credentials ({reason(error)}). Give them by {credentials}.")
    if answer is Answer.DENIED:
        return SourceError(
            f"{at}: access denied ({reason(error)}). Whoever owns `{address.root}` has to allow these credentials (or "
            f"everybody, if there are none) to list the bucket and to read its objects; or take other "
            f"credentials in {credentials}."
        )
    if answer is Answer.ELSEWHERE:
        return SourceError(
            f"{at}: the bucket is in another region or at another endpoint ({reason(error)}). Set region_name (or "
            "endpoint_url) in the connection's extra fields, or AWS_DEFAULT_REGION."
        )
    if answer is Answer.NO_BUCKET or (answer is Answer.GONE and not reading):
        return SourceError(
            f"{at}: there is no bucket `{address.root}`. Check its name, and that the credentials and the endpoint are those "
            "of the account that it is in."
        )
    if answer is Answer.GONE:
        return SourceError(
            f"{address.source}: the object is not there any more; it was there when the plan was made. Put it back, or run "
            "again so that a new plan is made."
        )
    return SourceError(
        f"{at}: cannot be read: {reason(error)}. Check the bucket's name, that the credentials have not expired, and the "
        "endpoint_url and the other fields of the connection."
    )
