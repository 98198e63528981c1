"""What an object store refuses, told to people: which object, what the server said, and the mend."""

from __future__ import annotations

from skillsengine.storage.object_answers import Answer, answer_of, reason

_CREDENTIALS = "the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, a role of the machine)"


def refusal(error: BaseException, bucket: str, key: str) -> str:
    """One or two sentences."""
    at, said, answer = f"the store's object s3://{bucket}/{key}", reason(error), answer_of(error)
    if answer is Answer.AWAY:
        return (
            f"{at}: the object store does not answer, however often it is asked ({said}). Check the network, the server and "
            "AWS_ENDPOINT_URL_S3; then try again. Nothing half-written is visible."
        )
    if answer is Answer.EXPIRED:
        return f"{at}: the credentials have expired ({said}). Renew them in {_CREDENTIALS}; a session token lives for hours."
    if answer is Answer.SKEWED:
        return f"{at}: this machine's clock is wrong ({said}). Set it: requests are signed with the time."
    if answer is Answer.REFUSED:
        return f"{at}: the credentials are not accepted ({said}). Mend them in {_CREDENTIALS}."
    if answer is Answer.NO_CREDENTIALS:
        return f"{at}: no credentials ({said}). Give them by {_CREDENTIALS}."
    if answer is Answer.DENIED:
        return (
            f"{at}: access denied ({said}). Whoever owns the bucket `{bucket}` has to allow these credentials to list it "
            "(s3:ListBucket) and to read, write and delete its objects (s3:GetObject, s3:PutObject, s3:DeleteObject); or take "
            f"other credentials in {_CREDENTIALS}."
        )
    if answer is Answer.ELSEWHERE:
        return (
            f"{at}: the bucket is in another region or at another endpoint ({said}). Set AWS_DEFAULT_REGION, or "
            "AWS_ENDPOINT_URL_S3."
        )
    if answer is Answer.NO_BUCKET:
        return (
            f"{at}: there is no bucket `{bucket}` ({said}). Make it, or mend SKILLSENGINE_STORE; check that "
            "AWS_ENDPOINT_URL_S3 and the credentials are those of the account that it is in."
        )
    if answer is Answer.GONE:
        return f"{at}: the object is gone ({said})."
    return (
        f"{at}: the request failed ({said}). Check SKILLSENGINE_STORE, AWS_ENDPOINT_URL_S3 and the server's own log; a server "
        "that does not know today's checksums wants AWS_REQUEST_CHECKSUM_CALCULATION=when_required."
    )
