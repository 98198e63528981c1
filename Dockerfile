# One image for every role: `airflow api-server`, `airflow scheduler`, `airflow dag-processor`, a GPU worker, or `skillsengine`.
FROM python:3.11-slim-bookworm

RUN apt-get update && apt-get install -y --no-install-recommends git libgomp1 && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/skillsengine
COPY locks ./locks
# The lock first: an edit of the code does not install several gigabytes again.
RUN pip install --no-cache-dir -r locks/py311.txt && pip install --no-cache-dir --no-deps -r locks/no-deps.txt

COPY pyproject.toml README.md ./
COPY skillsengine ./skillsengine
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

COPY dags ./dags
COPY experiments ./experiments
COPY data ./data

RUN useradd --create-home --uid 50000 skillsengine && mkdir /var/lib/skillsengine && chown skillsengine /var/lib/skillsengine
USER skillsengine
ENV SKILLSENGINE_PROJECT=/opt/skillsengine SKILLSENGINE_HOME=/var/lib/skillsengine
VOLUME /var/lib/skillsengine
ENTRYPOINT []
CMD ["skillsengine", "--help"]
