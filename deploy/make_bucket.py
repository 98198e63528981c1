"""Make the bucket of SKILLSENGINE_STORE, unless the store is a folder or the bucket is there."""

from __future__ import annotations

import os
import sys
from urllib.parse import urlsplit

import botocore.exceptions
import botocore.session


def main() -> None:
    store = urlsplit(os.environ.get("SKILLSENGINE_STORE", ""))
    if store.scheme != "s3":
        return
    client = botocore.session.get_session().create_client("s3")
    try:
        client.head_bucket(Bucket=store.netloc)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        client.create_bucket(Bucket=store.netloc)
        sys.stdout.write(f"made the bucket {store.netloc}\n")


if __name__ == "__main__":
    main()
