"""Analysis of features: moments, PCA, a recognition baseline, and similarity search."""
