# One image for every service of docker-compose.yml; the command says which one it is.
FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN python -m venv /opt/venv
COPY requirements/users.txt requirements/install.txt requirements/
RUN /opt/venv/bin/pip install --require-hashes -r requirements/install.txt \
    && /opt/venv/bin/uv pip install --python /opt/venv/bin/python --compile-bytecode --require-hashes -r requirements/users.txt
COPY pyproject.toml README.md LICENSE dagster.yaml workspace.yaml ./
COPY reportgen_dagster reportgen_dagster
COPY api_gateway api_gateway
COPY reportgen_client reportgen_client
COPY rules rules
RUN /opt/venv/bin/pip install --no-deps --no-build-isolation --editable . \
    && /opt/venv/bin/python -m compileall -q reportgen_dagster api_gateway reportgen_client

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin reportgen \
    && install -d -o reportgen -g reportgen -m 0700 /var/lib/reportgen /var/lib/reportgen/inbox
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
# The root file system may be read-only: what is written goes to REPORTGEN_HOME (a volume) and /tmp.
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    REPORTGEN_HOME=/var/lib/reportgen DAGSTER_HOME=/var/lib/reportgen/dagster
WORKDIR /app
USER reportgen
# What is written is for nobody else.
ENTRYPOINT ["/bin/sh", "-c", "umask 077 && exec \"$0\" \"$@\""]
CMD ["reportgen", "--help"]
