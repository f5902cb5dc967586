"""Shared by all models: Keras started quietly, training, weights, and prediction in batches. Nothing here searches."""
