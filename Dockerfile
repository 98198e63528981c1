# Two images, one for each side of the house (docs/docker.md tells how to build and run them):
#   control   the control plane: `airflow api-server|scheduler|dag-processor|triggerer`, `skillsengine`; no torch
#   worker    the same and what the stages need: torch's CUDA build, transformers, peft
#
#   docker build --target control -t skillsengine:control .
#   docker build --target worker -t skillsengine:worker .
#
# The libraries stand in stages of their own, below the code: an edit of the code installs nothing again.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# Our own package as a wheel: the images hold no build tools.
FROM ${PYTHON_IMAGE} AS wheel
WORKDIR /src
COPY locks/py311.txt locks/cuda.txt ./locks/
RUN python3 -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir -c locks/py311.txt setuptools
COPY pyproject.toml README.md LICENSE ./
COPY skillsengine ./skillsengine
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM ${PYTHON_IMAGE} AS control-libraries
# git: a spec's commit goes into the lineage. tini: process 1; it passes signals on and reaps what tasks leave behind.
# Debian keeps only the newest version of a package, so that a pinned one cannot be installed for long.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends git tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 50000 --home-dir /var/lib/skillsengine --create-home --shell /usr/sbin/nologin skillsengine
ENV PATH=/opt/venv/bin:${PATH}
WORKDIR /opt/skillsengine
COPY locks/py311-control.txt ./locks/
# --no-deps and pip check: the lock, all of it, and nothing else.
RUN python3 -m venv /opt/venv \
    && pip install --no-cache-dir --no-deps -r locks/py311-control.txt \
    && pip check
COPY --chmod=755 docker/healthcheck.py /usr/local/bin/healthcheck
ENV SKILLSENGINE_PROJECT=/opt/skillsengine \
    SKILLSENGINE_HOME=/var/lib/skillsengine \
    AIRFLOW_HOME=/var/lib/skillsengine/airflow \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL=21600 \
    AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST='[{"name": "experiments", "classpath": "skillsengine.airflow.bundle.ExperimentsBundle", "kwargs": {"refresh_interval": 3}}, {"name": "platform", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {"path": "/opt/skillsengine/dags", "refresh_interval": 30}}]' \
    PYTHONUNBUFFERED=1
VOLUME /var/lib/skillsengine
EXPOSE 8080
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["skillsengine", "--help"]
# The image serves several roles: the check asks process 1 which one this container has.
HEALTHCHECK --interval=60s --timeout=45s --start-period=120s --retries=3 CMD ["healthcheck"]

FROM control-libraries AS worker-libraries
# libgomp1: threads of bitsandbytes on a CPU.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY locks/py311-worker.txt locks/cuda.txt locks/no-deps.txt ./locks/
# Not --no-deps: which libraries a build of torch needs is its own affair; cuda.txt pins them.
RUN pip install --no-cache-dir -r locks/py311-worker.txt \
    && pip check \
    && pip install --no-cache-dir --no-deps -r locks/no-deps.txt
ENV HF_HOME=/var/lib/skillsengine/huggingface

# Who may log in is asked by the control plane alone: FAB's auth manager, whose tables Airflow makes wherever it is installed.
FROM control-libraries AS login-libraries
COPY locks/py311-fab.txt ./locks/
RUN pip install --no-cache-dir --no-deps -r locks/py311-fab.txt \
    && pip check

# What an image holds, as a list (CycloneDX) for whoever looks for a package with a hole in it. Made of what is installed, not of
# what should be; the program that makes it stays in these stages.
FROM login-libraries AS control-sbom
COPY locks/sbom.txt ./locks/
RUN python3 -m venv /opt/sbom \
    && /opt/sbom/bin/pip install --no-cache-dir --no-deps -r locks/sbom.txt \
    && /opt/sbom/bin/cyclonedx-py environment --output-reproducible --of JSON -o /opt/sbom.cdx.json /opt/venv/bin/python

FROM worker-libraries AS worker-sbom
COPY locks/sbom.txt ./locks/
RUN python3 -m venv /opt/sbom \
    && /opt/sbom/bin/pip install --no-cache-dir --no-deps -r locks/sbom.txt \
    && /opt/sbom/bin/cyclonedx-py environment --output-reproducible --of JSON -o /opt/sbom.cdx.json /opt/venv/bin/python

# The two images: our code on top of the libraries, alike in both.
FROM login-libraries AS control
COPY --from=control-sbom /opt/sbom.cdx.json ./sbom.cdx.json
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels pip install --no-cache-dir --no-deps /wheels/*.whl
COPY dags ./dags
COPY experiments ./experiments
COPY data/demo ./data/demo
USER 50000

FROM worker-libraries AS worker
COPY --from=worker-sbom /opt/sbom.cdx.json ./sbom.cdx.json
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels pip install --no-cache-dir --no-deps /wheels/*.whl
COPY dags ./dags
COPY experiments ./experiments
COPY data/demo ./data/demo
USER 50000
