# Two stages: build a wheel and a virtual environment from the hash-locked requirements, then run
# it as a user without rights over its own code. State lives in /var/lib/tenor.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/tenor \
 && /opt/tenor/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY service service
COPY migrations migrations
COPY policies policies
RUN /opt/tenor/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/tenor --create-home tenor
COPY --from=build /opt/tenor /opt/tenor
ENV PATH=/opt/tenor/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TENOR_DATABASE_URL=sqlite:////var/lib/tenor/tenor.db \
    TENOR_DATA_DIR=/var/lib/tenor \
    TENOR_LISTEN_HOST=0.0.0.0
USER tenor
WORKDIR /var/lib/tenor
VOLUME /var/lib/tenor
EXPOSE 8321
HEALTHCHECK --interval=30s --timeout=3s --start-period=20s CMD \
  ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8321/healthz', timeout=2)"]
ENTRYPOINT ["tenor"]
CMD ["run"]
