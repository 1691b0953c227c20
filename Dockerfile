# What a Docker or Kubernetes work pool starts for each run; docs/operations.md says how. No secret is in it.
FROM python:3.11-slim-bookworm
COPY . /src
# Without --no-deps pip would ask for sqlalchemy[asyncio], which the lock does not name by its hash.
RUN pip install --no-cache-dir --no-deps --require-hashes -r /src/requirements.lock \
    && pip install --no-cache-dir --no-deps --no-build-isolation /src \
    && rm -r /src \
    && useradd --create-home roachmesh
USER roachmesh
# Prefect copies the working folder for each run: an empty one.
WORKDIR /home/roachmesh
