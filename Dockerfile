# docker build -t pipeline . && docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/pipeline" pipeline
FROM python:3.11-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git graphviz make \
 && rm -rf /var/lib/apt/lists/*
COPY requirements.txt /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt
# The checkout is mounted there, by whichever user: its code runs, nothing of it is in the image.
RUN git config --system --add safe.directory /pipeline
WORKDIR /pipeline
ENV PYTHONPATH=/pipeline/src HOME=/tmp
CMD ["dvc", "repro"]
