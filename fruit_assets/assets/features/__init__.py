"""`image_features` and `rejected_images`: the two assets of one pass over the images."""
