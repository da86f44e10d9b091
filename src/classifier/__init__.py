"""The library below the stages: plain functions on arrays, tables and Keras objects."""
