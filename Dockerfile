# docker build -t pipeline . && docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/pipeline" pipeline
FROM python:3.11-slim
# The checkout is mounted there, by whichever user: its code runs, nothing of it is in the image.
# Debian keeps one version of a package, so none is pinned.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git graphviz make \
 && rm -rf /var/lib/apt/lists/* \
 && git config --system --add safe.directory /pipeline
COPY requirements.txt requirements-server.txt /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt -r /tmp/requirements-server.txt
WORKDIR /pipeline
ENV PYTHONPATH=/pipeline/src HOME=/tmp
CMD ["sh", "-c", "python -m stages.prepare && exec dvc repro"]
