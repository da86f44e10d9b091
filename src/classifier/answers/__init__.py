"""What a model answers: calibrated probabilities, how unlike the training data an image is."""
