"""Image augmentation: layers, and policies made of them."""
