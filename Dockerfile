# docker build -t pipeline . && docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" pipeline
FROM python:3.11-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git graphviz make \
 && rm -rf /var/lib/apt/lists/*
COPY requirements.txt /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt
# The checkout is mounted there, by whichever user: its code runs, nothing of it is in the image.
RUN git config --system --add safe.directory /work
WORKDIR /work
ENV PYTHONPATH=/work/src HOME=/tmp
CMD ["dvc", "repro"]
