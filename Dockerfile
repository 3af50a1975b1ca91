# Two stages: build a wheel and a virtual environment from the hash-locked requirements, then run
# it as a user without rights over its own code. State lives in /var/lib/tenor; beside it only /tmp is
# written, so the root can be read-only. `.ci/image_rehearsal` runs these same steps without an engine.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/tenor \
 && /opt/tenor/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY service service
COPY migrations migrations
COPY policies policies
RUN /opt/tenor/bin/pip install --no-cache-dir --no-deps --no-build-isolation .
# What only building and the libraries' own tests need stays behind.
RUN cd /opt/tenor/lib/python3.11/site-packages \
 && rm -rf pyarrow/tests pyarrow/include matplotlib/tests matplotlib/mpl-data/sample_data \
 && find numpy scipy -type d -name tests -prune -exec rm -rf {} + \
 && /opt/tenor/bin/pip uninstall --yes --quiet hatchling pathspec pluggy trove-classifiers \
 && /opt/tenor/bin/python -m pip uninstall --yes --quiet setuptools pip

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/tenor --create-home tenor
COPY --from=build /opt/tenor /opt/tenor
# The environment beats a settings file: only what an image must say stands here. The policy is not
# among it; unset, it is the one that is shipped, which observes and buys nothing.
ENV PATH=/opt/tenor/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TENOR_DATABASE_URL=sqlite:////var/lib/tenor/tenor.db \
    TENOR_DATA_DIR=/var/lib/tenor \
    TENOR_LISTEN_HOST=0.0.0.0
USER tenor
WORKDIR /var/lib/tenor
VOLUME /var/lib/tenor
EXPOSE 8321
HEALTHCHECK --interval=30s --timeout=3s --start-period=20s CMD \
  ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('TENOR_LISTEN_PORT', '8321') + '/healthz', timeout=2)"]
ENTRYPOINT ["tenor"]
CMD ["run"]
