"""Digits and their models: data, Keras, training, pretrained models, measures and figures. Nothing here searches."""
