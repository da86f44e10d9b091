"""Networks that were trained before on other photos, and their weights.

The function of each takes the file of the weights and gives a Keras model of any image size: from
uint8 pixels to feature maps.
"""
