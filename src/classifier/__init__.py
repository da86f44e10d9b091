"""The library below the stages: plain functions on arrays, tables and Keras objects."""

import os

# TensorFlow uses oneDNN's kernels by default only where the processor has AVX-512 VNNI or newer;
# on one with AVX2 alone they halve the time of a training step.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
