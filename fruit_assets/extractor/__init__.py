"""The feature extractor: the network without its top, its weights, export, quantization and the engines that run it."""
