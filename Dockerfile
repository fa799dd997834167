# weightspace as a command, and by default its app. docs/automation.md shows how to run it.
#
#   docker build --tag weightspace .
#   docker run --rm --volume "$PWD:/data:ro" weightspace audit /data/net.pt --claims /data/README.md

ARG BASE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE} AS build
# Builds of torch for Linux without CUDA are some gigabytes smaller.
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY LICENSE MANIFEST.in README.md constraints.txt pyproject.toml setup.py ./
COPY src src
RUN python3 -m venv /opt/weightspace \
 && /opt/weightspace/bin/python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
 && wheel="$(echo /wheels/*.whl)" \
 && /opt/weightspace/bin/python -m pip install --no-cache-dir --constraint constraints.txt \
    "${wheel}[app]"

FROM ${BASE}
COPY --from=build /opt/weightspace /opt/weightspace
# Whatever is written without being asked for goes to /tmp: the rest can be read-only.
ENV PATH=/opt/weightspace/bin:$PATH \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/cache \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/', timeout=4)"]
ENTRYPOINT ["weightspace"]
CMD ["app", "--host", "0.0.0.0", "--port", "7860"]
