"""A server of exported models over HTTP: LiteRT or ONNX Runtime, without TensorFlow."""
