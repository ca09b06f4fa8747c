"""`pca_model` and `pca_components`: the basis, and every featurised image in it."""
