"""What all models share: Keras started quietly, training, weights, and prediction in batches. Nothing here searches."""
