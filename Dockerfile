# The service as an image: one virtual environment on a slim Python, run by an unprivileged user.
# Nothing is written outside /data and /tmp, so the root file system can be read-only.
# How to build, run and check it: docs/deployment.md.

# Pin it for a release: --build-arg PYTHON_IMAGE=python:3.13-slim-trixie@sha256:...
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
# Empty: pip's own default.
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src

# The tools stay in /tools; what the image keeps is /app, which has no pip.
RUN python3 -m venv /tools && python3 -m venv --without-pip /app

# Wheels only: no package may run code of its own while it is installed.
COPY requirements.lock ./
RUN /tools/bin/pip --python /app/bin/python install --only-binary :all: --require-hashes -r requirements.lock

COPY requirements-build.lock ./
RUN /tools/bin/pip install --only-binary :all: --require-hashes -r requirements-build.lock

COPY pyproject.toml README.md LICENSE console_client.py ./
COPY prompts prompts
COPY src src
RUN /tools/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheels . \
    && /tools/bin/pip --python /app/bin/python install --no-deps --no-index /wheels/*.whl


FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="orchestrator-worker" \
      org.opencontainers.image.description="An OpenAI-compatible service that answers with a team of Claude agents" \
      org.opencontainers.image.licenses="MIT"

# The packages are compiled already, and the root file system may be read-only.
ENV PATH=/app/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    API_HOST=0.0.0.0 \
    API_PORT=8000 \
    DATA_DIR=/data

RUN install -d -m 0700 -o 10001 -g 10001 /data
COPY --from=build /app /app

WORKDIR /app
VOLUME ["/data"]
EXPOSE 8000
USER 10001:10001

# http.client, because urllib would send even this through a configured proxy.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('API_PORT') or 8000), timeout=4); c.request('GET', '/health/'); sys.exit(c.getresponse().status != 200)"]

ENTRYPOINT ["orchestrator-worker"]
CMD ["serve"]
