# The service as it runs in production: stores and model by URL (docs/deployment.md). `docker build -t checkerboard .`
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1
WORKDIR /src
RUN python -m venv /opt/uv /opt/checkerboard
# What is installed changes seldom, the code often: the layers of the packages stay.
COPY requirements/bootstrap.txt requirements/production.txt requirements/
RUN /opt/uv/bin/pip install --require-hashes -r requirements/bootstrap.txt \
    && /opt/uv/bin/uv pip install --python /opt/checkerboard/bin/python --compile-bytecode --require-hashes -r requirements/production.txt
COPY . .
RUN /opt/uv/bin/uv pip install --python /opt/checkerboard/bin/python --compile-bytecode --no-deps .

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="checkerboard" \
      org.opencontainers.image.description="Recommends the portfolio project that employers ask for now" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/checkerboard checkerboard \
    && install --directory --owner=10001 --group=10001 /var/lib/checkerboard
COPY --from=build /opt/checkerboard /opt/checkerboard
ENV PATH=/opt/checkerboard/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    CHECKERBOARD_HOME=/var/lib/checkerboard CHECKERBOARD_LOG_FORMAT=json
# A number, so that an orchestrator can see that it is not root.
USER 10001:10001
WORKDIR /var/lib/checkerboard
EXPOSE 8000
# Longer than the drain, so that runs may end: docker stop --time 60.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["checkerboard"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
